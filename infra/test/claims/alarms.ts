/** The statements of docs/deploy.md about alarm subscribers and metrics. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { stage as shipped } from '../../lib/stages.ts';
import { SUBSCRIBER, Synthesized, render, type Resource } from '../stacks.ts';
import { sources } from '../sources.ts';
import { alertPathFrom, alertPaths } from '../walk.ts';
import { inAws, only, variables, type Checks } from './common.ts';

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** Whether a filter pattern matches a log line. Supports equality with `*` at the ends, `&&` and `||`. */
function matches(pattern: string, line: Record<string, string>): boolean {
  const expression = pattern
    .replace(/\$\.(\w+) = "(\*?)([\w.]*)(\*?)"/g, (_, field: string, before: string, text: string, after: string) => {
      const value = line[field] ?? '';
      return String(new RegExp(`^${before && '.*'}${text.replaceAll('.', '\\.')}${after && '.*'}$`).test(value));
    })
    .replace(/^\{(.*)\}$/, '$1');
  assert.match(expression, /^(true|false|&&|\|\||[() ])+$/, pattern);
  return new Function(`return ${expression}`)();
}

/** The labels of each recording of a metric in the code, by the metric's name. */
function emitted(code: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const call of code.matchAll(/\b(?:counter|gauge|histogram)!\(\s*"(\w+)"/g)) {
    let depth = 1;
    let end = call.index + call[0].length;
    for (; depth > 0; end += 1) depth += code[end] === '(' ? 1 : code[end] === ')' ? -1 : 0;
    const labels = [...code.slice(call.index, end).matchAll(/"(\w+)"\s*=>/g)].map(([, label]) => label!);
    found.set(call[1]!, [...(found.get(call[1]!) ?? []), labels.sort().join()]);
  }
  return found;
}

interface UsedMetric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Record<string, string>;
}

/** All metrics that the alarms and the dashboard of a stage use. */
function usedMetrics(stage: Synthesized): UsedMetric[] {
  const ofAlarm = ({ Properties }: Resource): UsedMetric[] =>
    (Properties.Metrics ?? [{ MetricStat: { Metric: Properties } }])
      .filter(({ MetricStat }: any) => MetricStat)
      .map(({ MetricStat: { Metric } }: any) => ({
        namespace: Metric.Namespace,
        name: Metric.MetricName,
        dimensions: Object.fromEntries((Metric.Dimensions ?? []).map(({ Name, Value }: any) => [Name, render(Value)])),
      }));
  const body = render(only(stage.of('AWS::CloudWatch::Dashboard')).Properties.DashboardBody);
  const ofDashboard = [...body.matchAll(/\["(RevenueFlow[^"]*)","(\w+)"((?:,"[^"]*")*)/g)].map(([, ...found]) => {
    const [namespace, name, rest] = found as [string, string, string];
    const words = [...rest.matchAll(/"([^"]*)"/g)].map(([, word]) => word!);
    const pairs = words.flatMap((word, index) => (index % 2 === 0 ? [[word, words[index + 1]!] as const] : []));
    return { namespace, name, dimensions: Object.fromEntries(pairs) };
  });
  return [...stage.of('AWS::CloudWatch::Alarm').flatMap(ofAlarm), ...ofDashboard];
}

export const alarms: Checks = {
  D16() {
    for (const stage of inAws) {
      const notified = alertPaths(stage).filter(({ subscribers }) => subscribers.length > 0);
      for (const { from, subscribers } of notified) assert.deepEqual(subscribers, [`email:${SUBSCRIBER}`], from);
      assert.ok(notified.length > 20, `${notified.length} have a subscriber`);
      const silent = alertPaths(stage).filter(({ subscribers }) => subscribers.length === 0);
      for (const { from, steps } of silent) assert.match(steps.join(), /^(part of|rolls the release back)/, from);
    }
    assert.throws(
      () => new Synthesized(shipped('prod')),
      /prod have no subscriber: set alerts.email .* -c alertsEmail=ADDRESS/,
    );
    const withoutSubscriber = new Synthesized(shipped('dev'));
    const metadata = readFileSync(join(withoutSubscriber.outdir, 'revenueflow-dev-service.metadata.json'), 'utf8');
    assert.match(metadata, /alarms of the stage dev have no subscriber/);
  },

  D17() {
    const code = ['functions', 'shared'].map(sources).join('\n');
    const metrics = emitted(code);
    for (const stage of inAws) {
      const used = usedMetrics(stage);
      const own = used.filter(({ namespace }) => namespace === 'RevenueFlow');
      assert.ok(own.length > 20, `${own.length}`);
      for (const { name, dimensions } of own) {
        const { stage: of, ...labels } = dimensions;
        assert.equal(of, stage.stage.name, name);
        const known = metrics.get(name) ?? [];
        assert.ok(known.includes(Object.keys(labels).sort().join()), `${name} has the labels ${known.join(' or ')}`);
        for (const [label, value] of Object.entries(labels)) {
          if (label !== 'version') assert.ok(code.includes(`"${value}"`), `${name}: no ${label} is ${value}`);
        }
      }
      for (const name of ['enrich', 'ingest']) {
        const { METRICS_NAMESPACE, STAGE } = variables(stage.function(name));
        assert.deepEqual([METRICS_NAMESPACE, STAGE], ['RevenueFlow', stage.stage.name]);
      }

      // Metrics that filters extract from log lines.
      const filters = stage.of('AWS::Logs::MetricFilter').map(({ Properties }) => {
        const { MetricName, MetricNamespace, Dimensions } = only<any>(Properties.MetricTransformations);
        const keys = (Dimensions ?? []).map(({ Key }: any) => Key).join();
        const fields = [...`${Properties.FilterPattern} ${JSON.stringify(Dimensions)}`.matchAll(/\$\.(\w+)/g)];
        const format = JSON.parse(only(stage.of('AWS::ApiGateway::Stage')).Properties.AccessLogSetting.Format);
        for (const [, field] of fields) {
          const ofFunctions = ['code', 'dependency']; // their values: shared/enrichment/tests/enrichment/telemetry.rs
          const isThere = render(Properties.LogGroupName).includes('AccessLog')
            ? field! in format
            : ofFunctions.includes(field!);
          assert.ok(isThere, `no line has ${field}`);
        }
        return `${MetricNamespace} ${MetricName} ${keys}`;
      });
      const ofLogs = used.filter(({ namespace }) => namespace.startsWith('RevenueFlow/'));
      assert.ok(ofLogs.length > 5);
      for (const { namespace, name, dimensions } of ofLogs) {
        assert.ok(
          filters.includes(`${namespace} ${name} ${Object.keys(dimensions).join()}`),
          `no filter creates ${name}`,
        );
      }
      const refused = stage
        .of('AWS::Logs::MetricFilter')
        .filter(({ Properties }) => Properties.FilterPattern.includes('$.code'));
      const suffix = '_credentials_refused';
      for (const [system, file] of [
        ['ai', 'shared/analysis/src/codes.rs'],
        ['crm', 'shared/crm/src/hubspot/errors.rs'],
        ['crm', 'shared/crm/src/salesforce/session.rs'],
      ]) {
        assert.ok(readFileSync(root(file!), 'utf8').includes(`"${system}${suffix}"`), file);
      }
      assert.deepEqual(
        refused.map(({ Properties }) => [
          /\{(\w+)Log/.exec(render(Properties.LogGroupName))?.[1],
          Properties.FilterPattern,
        ]),
        ['Enrich', 'Janitor', 'Api'].map((name) => [name, refused[0]!.Properties.FilterPattern]),
      );
      const counts = (line: Record<string, string>) => matches(refused[0]!.Properties.FilterPattern, line);
      for (const system of ['ai', 'crm']) assert.ok(counts({ code: `${system}${suffix}` }), system);
      for (const provider of ['zoominfo', 'apollo', 'pdl', 'hunter', 'clearbit']) {
        const dependency = `enrichment.${provider}`;
        const adapter = readFileSync(root(`shared/enrichment/src/providers/${provider}.rs`), 'utf8');
        assert.ok(adapter.includes(`codes!("${provider}")`), provider);
        for (const code of [`${provider}${suffix}`, `${provider}_not_allowed`]) {
          assert.ok(counts({ dependency, code }), code);
        }
        for (const code of ['rate_limited', 'credits_used_up', 'unavailable']) {
          assert.ok(!counts({ dependency, code: `${provider}_${code}` }), code);
        }
      }
      // Refusals by this product, whose codes have the same suffix.
      for (const code of ['field_not_allowed', 'action_not_allowed']) assert.ok(!counts({ code }), code);

      // CloudWatch allows ten metrics per alarm.
      for (const { Properties } of stage.of('AWS::CloudWatch::Alarm')) {
        const count = (Properties.Metrics ?? []).filter(({ MetricStat }: any) => MetricStat).length;
        assert.ok(count <= 10, `${Properties.AlarmName} has ${count}`);
      }
      const acl = only(stage.of('AWS::WAFv2::WebACL')).Properties.VisibilityConfig.MetricName;
      for (const { name, dimensions } of used.filter(({ namespace }) => namespace === 'AWS/WAFV2')) {
        assert.deepEqual(dimensions, { WebACL: acl, Region: stage.stage.region, Rule: 'ALL' }, name);
      }
    }
  },

  D23() {
    const stage = new Synthesized({
      ...shipped('prod', { alertsEmail: SUBSCRIBER }),
      costs: { monthlyUsd: 300, anomalyMonitor: 'arn:aws:ce::123456789012:anomalymonitor/one' },
    });
    for (const each of [inAws[0]!, stage]) {
      const { Budget, NotificationsWithSubscribers } = only(each.of('AWS::Budgets::Budget')).Properties;
      assert.deepEqual(Budget.BudgetLimit, { Amount: each.stage.costs!.monthlyUsd, Unit: 'USD' });
      assert.deepEqual([Budget.TimeUnit, Budget.BudgetType], ['MONTHLY', 'COST']);
      const alerts = NotificationsWithSubscribers.map(({ Notification, Subscribers }: any) => {
        const { SubscriptionType, Address } = only<any>(Subscribers);
        assert.equal(SubscriptionType, 'SNS');
        assert.equal(alertPathFrom(each, Address.Ref, 'budgets.amazonaws.com').subscribers.length, 1);
        return `${Notification.NotificationType} ${Notification.Threshold}`;
      });
      assert.deepEqual(alerts, ['ACTUAL 80', 'ACTUAL 100', 'FORECASTED 100']);
    }
    const anomalies = only(stage.of('AWS::CE::AnomalySubscription')).Properties;
    assert.deepEqual(anomalies.MonitorArnList, [stage.stage.costs!.anomalyMonitor]);
    assert.equal(anomalies.Frequency, 'IMMEDIATE');
    const { Address } = only<any>(anomalies.Subscribers);
    assert.equal(alertPathFrom(stage, Address.Ref, 'costalerts.amazonaws.com').subscribers.length, 1);
    for (const each of inAws) assert.deepEqual(each.of('AWS::CE::AnomalySubscription'), []);
  },
};
