/** The statements of docs/deploy.md. */
import assert from 'node:assert/strict';

import { FUNCTIONS, TIMEOUT_SECONDS } from '../../lib/names.ts';
import { Synthesized, said } from '../stacks.ts';
import { alarm, dev, everywhere, inAws, local, only, prod, staging, variables, type Checks } from './common.ts';

export const deploy: Checks = {
  D1() {
    const other = new Synthesized('prod', 'x86_64');
    for (const name of FUNCTIONS) {
      assert.deepEqual(prod.function(name).Properties.Architectures, ['arm64']);
      assert.deepEqual(other.function(name).Properties.Architectures, ['x86_64']);
      assert.equal(prod.function(name).Properties.Runtime, 'provided.al2023');
    }
    // Missing and wrong binaries: code.test.ts.
  },

  D2() {
    for (const stage of everywhere) {
      const named = (name: string) =>
        only(
          stage
            .of('AWS::SQS::Queue')
            .filter(({ Properties }) => Properties.QueueName === `revenueflow-${stage.stage.name}-${name}.fifo`),
        ).Properties;
      const leads = named('leads');
      assert.equal(leads.FifoQueue, true);
      assert.equal(leads.FifoThroughputLimit, 'perMessageGroupId');
      assert.equal(leads.DeduplicationScope, 'messageGroup');
      assert.equal(leads.RedrivePolicy.maxReceiveCount, 5);
      assert.match(said(leads.RedrivePolicy.deadLetterTargetArn), /^DeadLetters/);
      const deadLetters = named('dead-letters');
      assert.equal(deadLetters.FifoQueue, true);
      assert.equal(deadLetters.RedrivePolicy, undefined);
      assert.equal(deadLetters.RedriveAllowPolicy.redrivePermission, 'byQueue');
      for (const queue of [leads, deadLetters]) assert.equal(queue.MessageRetentionPeriod, 14 * 24 * 3600);
    }
  },

  D3() {
    for (const stage of everywhere) {
      const mappings = stage.of('AWS::Lambda::EventSourceMapping');
      assert.equal(mappings.length, 2);
      for (const { Properties } of mappings) {
        assert.deepEqual(Properties.FunctionResponseTypes, ['ReportBatchItemFailures']);
        assert.equal(Properties.BatchSize, 10);
        assert.equal(Properties.MaximumBatchingWindowInSeconds, undefined);
        const name = said(Properties.FunctionName).includes('Enrich') ? 'enrich' : 'dead-letter';
        const reserved = stage.function(name).Properties.ReservedConcurrentExecutions ?? Infinity;
        assert.ok(Properties.ScalingConfig.MaximumConcurrency >= 2);
        assert.ok(Properties.ScalingConfig.MaximumConcurrency <= reserved, name);
      }
    }
  },

  D4() {
    for (const stage of everywhere) {
      for (const [queue, name] of [
        ['leads', 'enrich'],
        ['dead-letters', 'dead-letter'],
      ] as const) {
        const { VisibilityTimeout } = only(
          stage.of('AWS::SQS::Queue').filter(({ Properties }) => Properties.QueueName.endsWith(`-${queue}.fifo`)),
        ).Properties;
        assert.ok(VisibilityTimeout >= 6 * stage.function(name).Properties.Timeout);
      }
      for (const name of FUNCTIONS) assert.equal(stage.function(name).Properties.Timeout, TIMEOUT_SECONDS[name]);
    }
  },

  D5() {
    for (const stage of everywhere) {
      const resources = stage.resources();
      const [migrations, run] = only(Object.entries(resources).filter(([, { Type }]) => Type === 'Custom::Trigger'));
      assert.match(said(run.Properties.HandlerArn), /MigrateFunctionCurrentVersion/);
      assert.equal(run.Properties.InvocationType, 'RequestResponse');
      const versions = Object.entries(resources).filter(
        ([id, { Type }]) => Type === 'AWS::Lambda::Version' && !id.startsWith('Migrate'),
      );
      assert.equal(versions.length, FUNCTIONS.length - 1);
      for (const [id, { DependsOn }] of versions) assert.ok(DependsOn?.includes(migrations), id);
    }
  },

  D6() {
    const groups = prod.of('AWS::CodeDeploy::DeploymentGroup');
    assert.equal(groups.length, 3);
    for (const { Properties } of groups) {
      assert.equal(said(Properties.DeploymentConfigName), 'CodeDeployDefault.LambdaCanary10Percent5Minutes');
      assert.equal(Properties.AlarmConfiguration.Enabled, true);
      assert.equal(Properties.AlarmConfiguration.Alarms.length, 1);
      assert.deepEqual(Properties.AutoRollbackConfiguration.Events, ['DEPLOYMENT_FAILURE', 'DEPLOYMENT_STOP_ON_ALARM']);
    }
    const slow = Object.entries(prod.resources()).filter(([, resource]) => 'UpdatePolicy' in resource);
    assert.deepEqual(slow.map(([id]) => id.replace(/Function.*/, '')).sort(), ['Api', 'Enrich', 'Ingest']);
    for (const stage of [staging, dev, local]) assert.deepEqual(stage.of('AWS::CodeDeploy::DeploymentGroup'), []);
  },

  D7() {
    for (const stage of everywhere) {
      const aliases = stage.of('AWS::Lambda::Alias');
      assert.equal(aliases.length, FUNCTIONS.length);
      for (const { Properties } of aliases) assert.equal(Properties.Name, 'live');
      const called = [
        ...stage.of('AWS::Lambda::EventSourceMapping').map(({ Properties }) => Properties.FunctionName),
        ...stage.of('AWS::Events::Rule').flatMap(({ Properties }) => Properties.Targets.map(({ Arn }: any) => Arn)),
        ...stage.of('AWS::ApiGateway::Method').map(({ Properties }) => Properties.Integration.Uri),
      ];
      assert.equal(called.length, 2 + 1 + 5);
      for (const callee of called) assert.match(JSON.stringify(callee), /Aliaslive/, said(callee));
    }
    for (const [id, { Type, DeletionPolicy }] of Object.entries(prod.resources())) {
      if (Type === 'AWS::Lambda::Version') assert.equal(DeletionPolicy, 'Retain', id);
    }
  },

  D8() {
    for (const stage of everywhere) {
      const resources = stage.resources();
      const path = (id: string): string => {
        const { ParentId, PathPart } = resources[id]!.Properties;
        return `${ParentId.Ref ? path(ParentId.Ref) : ''}/${PathPart}`;
      };
      const routes = stage.of('AWS::ApiGateway::Method').map(({ Properties }) => {
        const where = Properties.ResourceId.Ref ? path(Properties.ResourceId.Ref) : '/';
        assert.equal(Properties.Integration.Type, 'AWS_PROXY');
        const uri = JSON.stringify(Properties.Integration.Uri);
        return `${Properties.HttpMethod} ${where} ${/(Ingest|Api)FunctionAlias/.exec(uri)?.[1]}`;
      });
      assert.deepEqual(routes.sort(), [
        'ANY / Api',
        'ANY /leads Api',
        'ANY /leads/{proxy+} Api',
        'ANY /{proxy+} Api',
        'POST /leads Ingest',
      ]);
      const answers = stage.of('AWS::ApiGateway::GatewayResponse');
      const kinds = answers.map(({ Properties }) => Properties.ResponseType);
      for (const kind of ['DEFAULT_4XX', 'DEFAULT_5XX']) assert.ok(kinds.includes(kind));
      for (const { Properties } of answers) {
        const answer = JSON.parse(Properties.ResponseTemplates['application/json']);
        assert.deepEqual(Object.keys(answer), ['status', 'error', 'message']);
        for (const value of Object.values(answer)) assert.ok(typeof value === 'string' && value !== '');
      }
    }
  },

  D9() {
    for (const [stage, rate] of [
      [prod, '1 minute'],
      [staging, '1 minute'],
      [local, '1 minute'],
      [dev, '30 minutes'],
    ] as const) {
      const { ScheduleExpression, State, Targets } = only(stage.of('AWS::Events::Rule')).Properties;
      assert.equal(ScheduleExpression, `rate(${rate})`);
      assert.equal(State, 'ENABLED');
      assert.match(said(only(Targets as any[]).Arn), /^\{JanitorFunctionAliaslive/);
    }
    assert.equal(only(dev.of('AWS::RDS::DBCluster')).Properties.ServerlessV2ScalingConfiguration.MinCapacity, 0);
    assert.equal(
      only(dev.of('AWS::RDS::DBCluster')).Properties.ServerlessV2ScalingConfiguration.SecondsUntilAutoPause,
      300,
    );
  },

  D10() {
    for (const [stage, gateways] of [
      [prod, 2],
      [staging, 1],
      [dev, 1],
    ] as const) {
      assert.equal(stage.of('AWS::EC2::NatGateway').length, gateways);
      const out = Object.entries(stage.resources()).filter(
        ([id, { Type }]) => Type === 'AWS::EC2::Route' && id.includes('functionsSubnet'),
      );
      assert.equal(out.length, 2);
      for (const [id, { Properties }] of out) assert.ok(Properties.NatGatewayId, id);
      const endpoint = only(stage.of('AWS::EC2::VPCEndpoint')).Properties;
      assert.match(said(endpoint.ServiceName), /\.s3$/);
      assert.equal(endpoint.VpcEndpointType, 'Gateway');
    }
  },

  D11() {
    const lacking = /^AWS::(RDS|EC2|WAFv2|CodeDeploy|Serverless|CloudWatch)::/;
    assert.deepEqual(
      Object.values(local.resources()).filter(({ Type }) => lacking.test(Type)),
      [],
    );
    for (const name of FUNCTIONS) {
      assert.equal(local.function(name).Properties.ReservedConcurrentExecutions, undefined);
      const given = variables(local.function(name));
      if (name !== 'ingest') assert.deepEqual(given.DATABASE_URL, { Ref: 'DatabaseUrl' });
    }
    assert.equal(variables(local.function('enrich')).AI_PROVIDER, 'rules');
    assert.equal(variables(local.function('enrich')).CRM_PROVIDER, 'mock');
    // That it deploys: local.test.ts.
  },

  D12() {
    const reserved = (stage: Synthesized) =>
      Object.fromEntries(
        FUNCTIONS.map((name) => [name, stage.function(name).Properties.ReservedConcurrentExecutions] as const).filter(
          ([, count]) => count,
        ),
      );
    assert.deepEqual(reserved(prod), { ingest: 100, enrich: 20, 'dead-letter': 2, api: 10 });
    assert.equal(
      Object.values(reserved(staging)).reduce((sum: number, count: number) => sum + count, 0),
      32,
    );
    assert.deepEqual(reserved(dev), {});
  },

  D13() {
    for (const stage of inAws) {
      for (const [name, rate, long, short] of [
        ['fast', 14.4, 3600, 300],
        ['slow', 6, 21600, 1800],
      ] as const) {
        for (const [window, seconds] of [
          ['long', long],
          ['short', short],
        ] as const) {
          const { Properties } = alarm(stage, `${name}-burn-${window}`);
          assert.equal(Properties.Threshold, rate);
          const [expression, ...sources] = Properties.Metrics;
          const minutes = `${seconds / 60}m`;
          assert.equal(
            expression.Expression,
            `IF(errors${minutes} > 2, errors${minutes} / requests${minutes} / 0.001, 0)`,
          );
          for (const { MetricStat } of sources) {
            assert.equal(MetricStat.Period, seconds);
            assert.equal(MetricStat.Stat, 'Sum');
            const dimensions = Object.fromEntries(
              MetricStat.Metric.Dimensions.map(({ Name, Value }: any) => [Name, Value]),
            );
            assert.deepEqual(dimensions, {
              ApiName: `revenueflow-${stage.stage.name}-api`,
              Stage: { Ref: dimensions.Stage.Ref },
              Method: 'POST',
              Resource: '/leads',
            });
          }
          assert.deepEqual(
            sources.map(({ MetricStat }: any) => MetricStat.Metric.MetricName),
            ['5XXError', 'Count'],
          );
        }
        const both = only(
          stage
            .of('AWS::CloudWatch::CompositeAlarm')
            .filter(({ Properties }) => Properties.AlarmName.endsWith(`-${name}-burn`)),
        );
        assert.match(said(both.Properties.AlarmRule), /^\(ALARM\(.*BurnLong.*\) AND ALARM\(.*BurnShort.*\)\)$/);
        assert.match(said(both.Properties.AlarmActions), /Alerts/);
      }
      const settings: any[] = only(stage.of('AWS::ApiGateway::Stage')).Properties.MethodSettings;
      assert.ok(settings.find((setting) => setting.ResourcePath === '/*').MetricsEnabled); // else there is no metric by method
    }
  },

  D14() {
    for (const stage of inAws) {
      const expected: [string, string, number][] = [
        ['leads-wait', 'ApproximateAgeOfOldestMessage', 900],
        ['lead-parked', 'Invocations', 1],
        ['dead-letter-fails', 'Errors', 1],
        ['dead-letters-wait', 'ApproximateAgeOfOldestMessage', 900],
        ['breaker-open', 'revenueflow_queue_paused', 1],
        ['enrich-fails', 'Errors', 3],
        ['janitor-fails', 'Errors', 3],
        ['janitor-silent', 'Invocations', 1],
        ['database-full', 'ACUUtilization', 90],
      ];
      for (const [name, metricName, threshold] of expected) {
        const found = alarm(stage, name);
        assert.equal(found.Properties.MetricName, metricName);
        assert.equal(found.Properties.Threshold, threshold);
        assert.match(said(found.Properties.AlarmActions), /Alerts/, name);
      }
      const silent = alarm(stage, 'janitor-silent').Properties;
      assert.equal(silent.ComparisonOperator, 'LessThanThreshold');
      assert.equal(silent.TreatMissingData, 'breaching');
      assert.match(said(alarm(stage, 'lead-parked').Properties.Dimensions[0].Value), /DeadLetter/);
      const breaker = alarm(stage, 'breaker-open').Properties;
      assert.deepEqual(
        [breaker.Namespace, breaker.Dimensions],
        ['RevenueFlow', [{ Name: 'stage', Value: stage.stage.name }]],
      );
      for (const name of FUNCTIONS) assert.equal(variables(stage.function(name)).METRICS_NAMESPACE, 'RevenueFlow');
    }
  },
};
