/** The statements of docs/deploy.md about the thresholds of alarms. */
import assert from 'node:assert/strict';

import { WEBHOOK_PATHS } from '../../lib/http.ts';
import { FUNCTIONS } from '../../lib/names.ts';
import { render } from '../stacks.ts';
import { alarm, dev, inAws, only, prod, variables, type Checks } from './common.ts';

export const thresholds: Checks = {
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
            ['errors', 'requests']
              .map((kind) => [0, 1].map((route) => `FILL(${kind}${route}${minutes}, 0)`).join(' + '))
              .reduce((errors, requests) => `IF(${errors} > 2, (${errors}) / (${requests}) / 0.001, 0)`),
          );
          const routes: string[] = [];
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
              Resource: dimensions.Resource,
            });
            routes.push(`${MetricStat.Metric.MetricName} ${dimensions.Resource}`);
          }
          const expected = WEBHOOK_PATHS.flatMap((path) => [`5XXError ${path}`, `Count ${path}`]);
          assert.deepEqual(routes, expected);
        }
        const both = only(
          stage
            .of('AWS::CloudWatch::CompositeAlarm')
            .filter(({ Properties }) => Properties.AlarmName.endsWith(`-${name}-burn`)),
        );
        assert.match(render(both.Properties.AlarmRule), /^\(ALARM\(.*BurnLong.*\) AND ALARM\(.*BurnShort.*\)\)$/);
        assert.match(render(both.Properties.AlarmActions), /Alerts/);
      }
      const settings: any[] = only(stage.of('AWS::ApiGateway::Stage')).Properties.MethodSettings;
      // An entry for one method replaces the entry for all methods; settings that it omits are off.
      for (const { ResourcePath, MetricsEnabled, LoggingLevel, DataTraceEnabled } of settings) {
        assert.deepEqual([MetricsEnabled, LoggingLevel, DataTraceEnabled], [true, 'ERROR', false], ResourcePath);
      }
    }
  },

  D14() {
    for (const stage of inAws) {
      const expected: [string, string, number][] = [
        ['leads-wait', 'ApproximateAgeOfOldestMessage', 900],
        ['leads-wait-long', 'revenueflow_lead_wait_seconds', 900],
        ['webhooks-unauthorized', 'revenueflow_webhooks_total', 5],
        ['operators-unauthorized', 'revenueflow_operator_refusals_total', 5],
        ['api-throttled', 'throttled', 1],
        ['credentials-refused', 'credentials_refused', 1],
        ['lead-parked', 'Invocations', 1],
        ['dead-letter-fails', 'Errors', 1],
        ['dead-letters-wait', 'ApproximateAgeOfOldestMessage', 900],
        ['breaker-open', 'revenueflow_breakers_open', 1],
        ['enrich-fails', 'Errors', 3],
        ['janitor-fails', 'Errors', stage === dev ? 2 : 3],
        ['janitor-silent', 'Invocations', 1],
        ['leads-overdue', 'revenueflow_overdue_leads_total', 1],
        ['leads-overflow', 'revenueflow_overflow_total', 1],
        ['alert-fails', 'revenueflow_alert_failures_total', 1],
        ['quarantine-fails', 'revenueflow_quarantine_failures_total', 1],
        ['database-full', 'ACUUtilization', 90],
      ];
      for (const [name, metricName, threshold] of expected) {
        const found = alarm(stage, name);
        assert.equal(found.Properties.MetricName, metricName);
        assert.equal(found.Properties.Threshold, threshold);
        assert.match(render(found.Properties.AlarmActions), /Alerts/, name);
      }
      // Longer than the five minutes between calls to a refused system, so that the alarm does not repeat
      // with each of them.
      assert.equal(alarm(stage, 'credentials-refused').Properties.Period, 900);
      const shares: [string, string[], number][] = [
        ['webhooks-refused', ['401', '403', '429'], 20],
        ['webhooks-malformed', ['400', '413'], 20],
        ['firewall-blocks', ['BlockedRequests'], 5],
        ['ai-falls-back', ['FALLBACK'], 20],
        ['ai-rejected', ['REJECTED'], 10],
      ];
      for (const [name, counted, threshold] of shares) {
        const { Threshold, Metrics, AlarmActions } = alarm(stage, name).Properties;
        assert.equal(Threshold, threshold, name);
        assert.match(render(AlarmActions), /Alerts/, name);
        const [{ Expression }, ...sources] = Metrics;
        const parts = sources.filter(({ Id }: any) => /^[a-z]+\d$/.test(Id));
        assert.deepEqual(
          parts.map(({ MetricStat: { Metric } }: any) => {
            const value = (key: string) => Metric.Dimensions.find(({ Name }: any) => Name === key)?.Value;
            return value('status') ?? value('grounding') ?? Metric.MetricName;
          }),
          counted,
          name,
        );
        const ids = (list: any[]) => (list.length === 1 ? list[0].Id : `SUM([${list.map(({ Id }) => Id).join(', ')}])`);
        const share = `100 * ${ids(parts)} / ${ids(sources)}`;
        assert.match(Expression, /^IF\(.+ >= \d+, .+, 0\)$/);
        assert.ok(Expression.includes(share), `${Expression} has not ${share}`);
      }
      const everyFunction = ['Ingest', 'Enrich', 'DeadLetter', 'Janitor', 'Api'];
      for (const [name, metricName] of [
        ['functions-throttled', 'Throttles'],
        ['loop-dropped', 'RecursiveInvocationsDropped'],
      ] as const) {
        const sources = alarm(stage, name).Properties.Metrics.filter(({ MetricStat }: any) => MetricStat);
        for (const { MetricStat } of sources) assert.equal(MetricStat.Metric.MetricName, metricName);
        const watched = sources.map(({ MetricStat }: any) => render(MetricStat.Metric.Dimensions[0].Value));
        assert.deepEqual(
          watched.map((id: string) => /^\{(\w+)Function/.exec(id)?.[1]),
          everyFunction,
        );
      }
      const quiet = stage
        .of('AWS::CloudWatch::Alarm')
        .filter(({ Properties }) => Properties.AlarmName === `revenueflow-${stage.stage.name}-no-webhooks`);
      assert.deepEqual(
        quiet.map(({ Properties: { Metrics, EvaluationPeriods, TreatMissingData } }) => [
          Metrics[1].MetricStat.Period * EvaluationPeriods,
          TreatMissingData,
        ]),
        stage === prod ? [[12 * 3600, 'breaching']] : [],
      );
      const silent = alarm(stage, 'janitor-silent').Properties;
      assert.equal(silent.ComparisonOperator, 'LessThanThreshold');
      assert.equal(silent.TreatMissingData, 'breaching');
      assert.match(render(alarm(stage, 'lead-parked').Properties.Dimensions[0].Value), /DeadLetter/);
      for (const name of [
        'breaker-open',
        'leads-overdue',
        'leads-overflow',
        'alert-fails',
        'quarantine-fails',
        'leads-wait-long',
      ]) {
        const own = alarm(stage, name).Properties;
        assert.deepEqual(
          [own.Namespace, own.Dimensions],
          ['RevenueFlow', [{ Name: 'stage', Value: stage.stage.name }]],
          name,
        );
      }
      // Every period of these alarms contains at least two runs of the janitor, which reports once per run.
      for (const name of ['breaker-open', 'leads-overdue', 'janitor-fails']) {
        const { Period, Threshold, Statistic } = alarm(stage, name).Properties;
        const runs = Period / 60 / stage.stage.janitorEveryMinutes;
        assert.ok(runs >= 2, name);
        assert.ok(name !== 'janitor-fails' || (Statistic === 'Sum' && Threshold <= runs), 'every run fails');
      }
      assert.equal(silent.Period * silent.EvaluationPeriods, 4 * 60 * stage.stage.janitorEveryMinutes);
      for (const name of FUNCTIONS) assert.equal(variables(stage.function(name)).METRICS_NAMESPACE, 'RevenueFlow');
    }
  },
};
