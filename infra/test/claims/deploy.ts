/** The statements of docs/deploy.md. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { AI_TIMEOUT_SECONDS, FUNCTIONS, TIMEOUT_SECONDS } from '../../lib/names.ts';
import { SETTINGS, type Settings } from '../../lib/settings.ts';
import { stage as shipped, type Stage } from '../../lib/stages.ts';
import { SUBSCRIBER, Synthesized, render, type Resource } from '../stacks.ts';
import { alarm, dev, everywhere, local, only, prod, staging, variables, type Checks } from './common.ts';

export const deploy: Checks = {
  D1() {
    const other = new Synthesized('prod', { architecture: 'x86_64' });
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
      assert.equal(leads.RedrivePolicy.maxReceiveCount, 20);
      // The code sends a message again as a copy before this many receives.
      const sqs = readFileSync(new URL('../../../shared/queue/src/sqs.rs', import.meta.url), 'utf8');
      const counted = Number(/const MAX_RECEIVE_COUNT: u32 = (\d+);/.exec(sqs)?.[1]);
      assert.ok(counted <= 20, `the code expects ${counted} receives`);
      assert.match(render(leads.RedrivePolicy.deadLetterTargetArn), /^DeadLetters/);
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
        const name = render(Properties.FunctionName).includes('Enrich') ? 'enrich' : 'dead-letter';
        const reserved = stage.function(name).Properties.ReservedConcurrentExecutions ?? Infinity;
        assert.ok(Properties.ScalingConfig.MaximumConcurrency >= 2);
        assert.ok(Properties.ScalingConfig.MaximumConcurrency <= reserved, name);
      }
    }
  },

  D4() {
    for (const stage of everywhere) {
      const hidden = (queue: string): number =>
        only(stage.of('AWS::SQS::Queue').filter(({ Properties }) => Properties.QueueName.endsWith(`-${queue}.fifo`)))
          .Properties.VisibilityTimeout;
      assert.equal(hidden('leads'), stage.stage.reserved ? 180 : 720, stage.stage.name);
      assert.equal(hidden('dead-letters'), 180);
      assert.equal(stage.function('enrich').Properties.Timeout, 120);
      // A function with reserved concurrency for every batch is never throttled.
      const { reserved, enrich } = stage.stage;
      assert.ok(!reserved || reserved.enrich >= enrich.maxConcurrency, stage.stage.name);
      for (const name of FUNCTIONS) assert.equal(stage.function(name).Properties.Timeout, TIMEOUT_SECONDS[name], name);
    }
  },

  D5() {
    for (const stage of everywhere) {
      const resources = stage.resources();
      const [migrations, run] = only(Object.entries(resources).filter(([, { Type }]) => Type === 'Custom::Trigger'));
      assert.match(render(run.Properties.HandlerArn), /MigrateFunctionCurrentVersion/);
      assert.equal(run.Properties.InvocationType, 'RequestResponse');
      // The function that posts the synthetic lead uses no database.
      const versions = Object.entries(resources).filter(
        ([id, { Type }]) => Type === 'AWS::Lambda::Version' && !/^(Migrate|Synthetic)/.test(id),
      );
      assert.equal(versions.length, FUNCTIONS.length - 1);
      for (const [id, { DependsOn }] of versions) assert.ok(DependsOn?.includes(migrations), id);
    }
  },

  D6() {
    const groups = prod.of('AWS::CodeDeploy::DeploymentGroup');
    assert.equal(groups.length, 3);
    for (const { Properties } of groups) {
      assert.equal(render(Properties.DeploymentConfigName), 'CodeDeployDefault.LambdaCanary10Percent5Minutes');
      assert.equal(Properties.AlarmConfiguration.Enabled, true);
      assert.deepEqual(Properties.AutoRollbackConfiguration.Events, ['DEPLOYMENT_FAILURE', 'DEPLOYMENT_STOP_ON_ALARM']);
    }
    for (const [id, { UpdatePolicy }] of Object.entries<any>(prod.resources())) {
      if (!UpdatePolicy) continue;
      const hook = UpdatePolicy.CodeDeployLambdaAliasUpdate.BeforeAllowTrafficHook.Ref;
      const { FunctionName, Environment } = prod.resources()[hook]!.Properties;
      const name = id.replace(/Function.*/, '').toLowerCase();
      assert.equal(FunctionName, `CodeDeployHook_revenueflow-prod-${name}`); // the prefix that CodeDeploy's role may call
      assert.equal(Environment.Variables.CHECKED_FUNCTION, name);
      assert.match(
        render(Environment.Variables.CHECKED_VERSION_ARN),
        new RegExp(`^\\{${name}FunctionCurrentVersion`, 'i'),
      );
      assert.ok(prod.resources()[id]!.DependsOn?.includes(hook), 'the check depends on the version');
    }
    for (const name of ['ingest', 'enrich', 'api']) {
      const allowed = prod
        .of('AWS::IAM::Policy')
        .filter(({ Properties }) => Properties.PolicyName.startsWith(`${name}CheckRole`))
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .map(({ Action, Resource }) => `${[Action].flat().join()} ${render(Resource)}`);
      assert.equal(allowed.length, 3);
      assert.match(allowed[0]!, /^logs:CreateLogStream,logs:PutLogEvents \w+CheckLog\w+\.Arn$/);
      assert.match(allowed[1]!, new RegExp(`^lambda:InvokeFunction ${name}Function\\w+\\.Arn:\\*$`, 'i'));
      assert.match(allowed[2]!, /^codedeploy:PutLifecycleEventHookExecutionStatus .*:deploymentgroup:/);
    }
    // The check's request itself: hook.test.ts.
    const slow = Object.entries(prod.resources()).filter(([, resource]) => 'UpdatePolicy' in resource);
    assert.deepEqual(slow.map(([id]) => id.replace(/Function.*/, '')).sort(), ['Api', 'Enrich', 'Ingest']);
    for (const stage of [staging, dev, local]) assert.deepEqual(stage.of('AWS::CodeDeploy::DeploymentGroup'), []);

    // The alarms that roll back each function. `ingest` and `api` answer 503 when they cannot work, and
    // `enrich` returns its batches to the queue: none of these is an error of the function.
    const watched = (id: string) => {
      const { Alarms } = only(
        groups.filter(({ Properties }) =>
          render(Properties.AlarmConfiguration.Alarms[0].Name).includes(`${id}Release`),
        ),
      ).Properties.AlarmConfiguration;
      return Alarms.map(({ Name }: any) => render(Name).replace(/^\{|[0-9A-F]{8}\}$/g, '')).sort();
    };
    assert.deepEqual(watched('ingest'), ['ingestReleaseAnswers', 'ingestReleaseErrors']);
    assert.deepEqual(watched('enrich'), ['enrichReleaseErrors', 'enrichReleaseGivenUp', 'enrichReleaseNotReady']);
    assert.deepEqual(watched('api'), ['apiReleaseAnswers', 'apiReleaseErrors']);
    const dimensions = ({ Dimensions }: any) =>
      Object.fromEntries(Dimensions.map(({ Name, Value }: any) => [Name, render(Value)]));
    for (const name of ['ingest', 'enrich', 'api']) {
      const errors = alarm(prod, `${name}-release-errors`).Properties;
      assert.deepEqual([errors.Namespace, errors.MetricName], ['AWS/Lambda', 'Errors']);
      const { ExecutedVersion, ...others } = dimensions(errors);
      const function_ = `revenueflow-prod-${name}`;
      assert.deepEqual(others, { FunctionName: function_, Resource: `${function_}:live` });
      assert.match(ExecutedVersion, /CurrentVersion\w+\.Version$/, 'of the new version only');
    }
    const webhooks = alarm(prod, 'ingest-release-answers').Properties;
    const posts = webhooks.Metrics.flatMap(({ MetricStat }: any) =>
      MetricStat
        ? `${MetricStat.Metric.MetricName} ${dimensions(MetricStat.Metric).Method} ${dimensions(MetricStat.Metric).Resource}`
        : [],
    );
    assert.deepEqual(posts.sort(), ['5XXError POST /leads', '5XXError POST /leads/{id}']);
    const routes = alarm(prod, 'api-release-answers').Properties.Metrics.flatMap(({ MetricStat }: any) =>
      MetricStat ? [[MetricStat.Metric.MetricName, dimensions(MetricStat.Metric).Resource]] : [],
    );
    assert.deepEqual(
      routes.sort(),
      ['/', '/leads', '/leads/{id}', '/leads/{id}/{proxy+}', '/{proxy+}'].map((resource) => ['5XXError', resource]),
    );
    for (const [name, kind] of [
      ['enrich-release-not-ready', 'not_ready'],
      ['enrich-release-given-up', 'given_up'],
    ] as const) {
      const { MetricName, Namespace, ...rest } = alarm(prod, name).Properties;
      assert.deepEqual([Namespace, MetricName], ['RevenueFlow', 'revenueflow_release_trouble_total']);
      const { version, ...others } = dimensions(rest);
      assert.deepEqual(others, { stage: 'prod', kind });
      assert.match(version, /^EnrichFunctionCurrentVersion\w+\.Version$/, 'of the new version only');
    }
  },

  D7() {
    for (const stage of everywhere) {
      const aliases = stage.of('AWS::Lambda::Alias');
      const posters = stage.stage.synthetic ? 1 : 0;
      assert.equal(aliases.length, FUNCTIONS.length + posters);
      for (const { Properties } of aliases) assert.equal(Properties.Name, 'live');
      const called = [
        ...stage.of('AWS::Lambda::EventSourceMapping').map(({ Properties }) => Properties.FunctionName),
        ...stage.of('AWS::Events::Rule').flatMap(({ Properties }) => Properties.Targets.map(({ Arn }: any) => Arn)),
        ...stage.of('AWS::ApiGateway::Method').map(({ Properties }) => Properties.Integration.Uri),
      ];
      assert.equal(called.length, 2 + 1 + 7 + posters);
      for (const callee of called) assert.match(JSON.stringify(callee), /Aliaslive/, render(callee));
    }
    for (const stage of [prod, staging, dev]) {
      for (const [id, { Type, DeletionPolicy }] of Object.entries(stage.resources())) {
        if (Type === 'AWS::Lambda::Version') assert.equal(DeletionPolicy, 'Retain', id);
      }
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
        'ANY /leads/{id} Api',
        'ANY /leads/{id}/{proxy+} Api',
        'ANY /{proxy+} Api',
        'POST /leads Ingest',
        'POST /leads/{id} Ingest',
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
      const ofJanitor = ({ Properties }: Resource) =>
        /[Jj]anitor/.test(render(Properties.Name ?? Properties.FunctionName));
      const { ScheduleExpression, State, Targets } = only(stage.of('AWS::Events::Rule').filter(ofJanitor)).Properties;
      assert.equal(ScheduleExpression, `rate(${rate})`);
      assert.equal(State, 'ENABLED');
      const target = only(Targets as any[]);
      assert.match(render(target.Arn), /^\{JanitorFunctionAliaslive/);
      assert.deepEqual(target.RetryPolicy, { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 0 });
      const calls = only(stage.of('AWS::Lambda::EventInvokeConfig').filter(ofJanitor)).Properties;
      assert.match(JSON.stringify(calls.Qualifier), /JanitorFunctionAliaslive/);
      assert.deepEqual([calls.MaximumRetryAttempts, calls.MaximumEventAgeInSeconds], [0, 60]);
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
      assert.match(render(endpoint.ServiceName), /\.s3$/);
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
    const api = only(local.of('AWS::ApiGateway::RestApi')).Properties;
    assert.deepEqual([api.SecurityPolicy, api.EndpointAccessMode], [undefined, undefined]);
    const compose = readFileSync(new URL('../../../localstack/compose.yaml', import.meta.url), 'utf8');
    const [, major, minor] = /image: localstack\/localstack:(\d+)\.(\d+)$/m.exec(compose) ?? [];
    assert.ok(Number(major) === 4 && Number(minor) >= 12, 'older images lack nodejs24.x, newer ones require a token');
    // Its deployment: local.test.ts.
  },

  D12() {
    const reserved = (stage: Synthesized) =>
      Object.fromEntries(
        FUNCTIONS.map((name) => [name, stage.function(name).Properties.ReservedConcurrentExecutions] as const).filter(
          ([, count]) => count,
        ),
      );
    assert.deepEqual(reserved(prod), { ingest: 100, enrich: 20, 'dead-letter': 2, janitor: 2, api: 10 });
    assert.equal(
      Object.values(reserved(staging)).reduce((sum: number, count: number) => sum + count, 0),
      34,
    );
    assert.deepEqual(reserved(dev), {});
  },

  D15() {
    const text = readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8');
    const names = [...SETTINGS.AI, ...SETTINGS.CRM, ...SETTINGS.ENRICHMENT];
    for (const name of names) assert.match(text, new RegExp(`^(# )?${name}=`, 'm'), '.env.example documents it');
    const settings: Settings = Object.fromEntries(names.map((name, index) => [name, index]));
    const files = {
      sources: 'config/sources.example.toml',
      icp: 'config/icp.toml',
      prompt: 'config/prompts/judge-v2.md',
      models: 'config/models.toml',
      routing: 'config/routing.toml',
      mapping: 'config/crm-mapping-salesforce.toml',
    };
    const configured: Stage = {
      ...shipped('prod', { alertsEmail: SUBSCRIBER }),
      ai: { provider: 'bedrock', modelId: 'eu.anthropic.claude-haiku-5-5', fallback: 'gemini' },
      settings,
      files,
    };
    const stage = new Synthesized(configured);
    const judge = { ICP_FILE: 'icp.toml', PROMPT_FILE: 'judge-v2.md', MODELS_FILE: 'models.toml' };
    const senders = { SOURCES_FILE: 'sources.example.toml' };
    const read = {
      ...judge,
      ...senders,
      ROUTING_FILE: 'routing.toml',
      CRM_MAPPING_FILE: 'crm-mapping-salesforce.toml',
    };
    for (const [name, expected, given] of [
      ['enrich', read, names],
      ['janitor', read, names],
      ['api', read, [...SETTINGS.AI, ...SETTINGS.CRM]],
      ['ingest', senders, []],
      ['dead-letter', {}, []],
      ['migrate', {}, []],
    ] as [string, Record<string, string>, readonly string[]][]) {
      const all = variables(stage.function(name));
      for (const [variable, file] of Object.entries(expected)) assert.equal(all[variable], `/var/task/${file}`, name);
      assert.deepEqual(stage.code(name), ['bootstrap', ...Object.values(expected)].sort(), name);
      const set = Object.keys(all).filter((variable) => (names as string[]).includes(variable));
      assert.deepEqual(set.sort(), [...given].sort(), name);
      for (const variable of set) assert.equal(all[variable], String(names.indexOf(variable as never)));
      const judges = 'ICP_FILE' in expected;
      assert.equal(all.AI_TIMEOUT_SECONDS, judges ? String(AI_TIMEOUT_SECONDS) : undefined, name);
      assert.equal(all.AI_FALLBACK_PROVIDER, judges ? 'gemini' : undefined, name);
      assert.equal('AI_SECRET_ARN' in all, judges, name);
      const reads = stage.permissions(name).some((allowed) => /^secretsmanager:\S+ .*RefSecretsai/.test(allowed));
      assert.equal(reads, judges, name);
    }
    assert.deepEqual(prod.code('enrich'), ['bootstrap']);
    const wrong = { ...configured, files: { icp: 'config/not-there.toml' } };
    assert.throws(() => new Synthesized(wrong), /files.icp of the stage prod: .*not-there.toml is missing/);
  },
};
