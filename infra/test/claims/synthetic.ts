/** The statements of docs/deploy.md about the synthetic lead. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { stage as shipped } from '../../lib/stages.ts';
import { LEAD } from '../../synthetic/index.mjs';
import { SUBSCRIBER, Synthesized, render } from '../stacks.ts';
import { alarm, dev, local, only, prod, staging, variables, type Checks } from './common.ts';

const SECONDS = 'revenueflow_synthetic_lead_seconds';

export const synthetic: Checks = {
  D31() {
    const off = new Synthesized(shipped('prod', { alertsEmail: SUBSCRIBER, synthetic: 'false' }));
    for (const stage of [dev, local, off]) {
      assert.throws(() => stage.function('synthetic'), /no function/, stage.stage.name);
      assert.ok(!JSON.stringify(stage.resources()).includes(SECONDS), stage.stage.name);
    }
    assert.ok(new Synthesized(shipped('dev', { alertsEmail: SUBSCRIBER, synthetic: 'true' })).function('synthetic'));
    assert.throws(() => shipped('prod', { synthetic: 'off' }), /must be true or false/);

    for (const stage of [prod, staging]) {
      const poster = stage.function('synthetic');
      assert.equal(poster.Properties.VpcConfig, undefined);
      assert.deepEqual(Object.keys(variables(poster)).sort(), ['WEBHOOK_SECRETS_ARN', 'WEBHOOK_URL']);
      assert.equal(render(variables(poster).WEBHOOK_URL), render(stage.service.toJSON().Outputs.WebhookUrl.Value));
      const secret = render(variables(poster).WEBHOOK_SECRETS_ARN);
      assert.equal(secret, render(variables(stage.function('ingest')).WEBHOOK_SECRETS_ARN));
      assert.deepEqual(
        stage.permissions('synthetic').map((line) => line.replace(/ .*(Log|Key|webhook).*/, ' $1')),
        [
          'logs:CreateLogStream Log',
          'logs:PutLogEvents Log',
          'secretsmanager:GetSecretValue webhook',
          'kms:Decrypt Key',
        ],
      );
      const rule = only(
        stage.of('AWS::Events::Rule').filter(({ Properties }) => Properties.Name?.endsWith('-synthetic')),
      ).Properties;
      assert.deepEqual([rule.ScheduleExpression, rule.State], ['rate(5 minutes)', 'ENABLED']);
      const target = only<any>(rule.Targets);
      assert.match(render(target.Arn), /^\{SyntheticAliaslive/);
      assert.deepEqual(target.RetryPolicy, { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 0 });

      const slow = alarm(stage, 'synthetic-lead-slow').Properties;
      const missing = alarm(stage, 'synthetic-lead-missing').Properties;
      for (const { Namespace, MetricName, Dimensions, Period, AlarmActions, AlarmDescription } of [slow, missing]) {
        assert.deepEqual([Namespace, MetricName, Period], ['RevenueFlow', SECONDS, 300]);
        assert.deepEqual(Dimensions, [{ Name: 'stage', Value: stage.stage.name }]);
        assert.match(render(AlarmActions), /Alerts/);
        assert.match(AlarmDescription, /readyz.*outage/);
      }
      assert.deepEqual(
        [slow.Statistic, slow.ComparisonOperator, slow.Threshold, slow.EvaluationPeriods, slow.TreatMissingData],
        ['Maximum', 'GreaterThanOrEqualToThreshold', 300, 1, 'notBreaching'],
      );
      assert.deepEqual(
        [missing.Statistic, missing.ComparisonOperator, missing.Threshold, missing.TreatMissingData],
        ['SampleCount', 'LessThanThreshold', 1, 'breaching'],
      );
      assert.equal(missing.Period * missing.EvaluationPeriods, 15 * 60);
    }

    // The posted lead matches the constants in the code.
    const code = readFileSync(new URL('../../../shared/lead/src/synthetic.rs', import.meta.url), 'utf8');
    const constant = (name: string) => new RegExp(`const SYNTHETIC_${name}: &str = "([^"]+)";`).exec(code)?.[1];
    assert.deepEqual(LEAD, { email: constant('EMAIL'), campaign_id: constant('CAMPAIGN') });

    // The alarm on senders' webhooks ignores the synthetic lead.
    const [expression, ...counted] = alarm(prod, 'no-webhooks').Properties.Metrics;
    assert.match(expression.Expression, /^SUM\(/);
    const outcomes = counted.map(({ MetricStat: { Metric } }: any) => {
      assert.equal(Metric.MetricName, 'revenueflow_webhooks_total');
      return Metric.Dimensions.find(({ Name }: any) => Name === 'outcome').Value;
    });
    assert.ok(outcomes.includes('accepted') && !outcomes.includes('synthetic'), outcomes.join());
  },
};
