/** The statements of docs/deploy.md about saved queries, unusual counts of webhooks, and copies of backups. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { FUNCTIONS } from '../../lib/names.ts';
import { QUERIES } from '../../lib/queries.ts';
import { stage as shipped } from '../../lib/stages.ts';
import { SUBSCRIBER, Synthesized, render } from '../stacks.ts';
import { sources } from '../sources.ts';
import { alertPaths } from '../walk.ts';
import { alarm, dev, having, inAws, local, only, prod, staging, type Checks } from './common.ts';

/** Keywords of Logs Insights. Names with `@` are fields that it adds itself. */
const LANGUAGE = 'fields filter stats sort limit like in by as asc desc and or count max min coalesce ispresent'.split(
  ' ',
);

/** The log fields in a query, and the values of `message` that it filters by. */
function parsed(query: readonly string[]): { fields: string[]; messages: string[] } {
  const bare = query.map((command) => command.replace(/"[^"]*"/g, '""')).join('\n');
  const made = [...bare.matchAll(/\bas (\w+)/g)].map(([, alias]) => alias!);
  const words = [...bare.matchAll(/(?<![\w@.])[a-z_][\w.]*/g)].map(([word]) => word);
  const messages = query
    .filter((command) => /^filter message /.test(command))
    .flatMap((command) => [.../^filter message [^"]*((?:"[^"]*",? ?)+)/.exec(command)![1]!.matchAll(/"([^"]*)"/g)])
    .map(([, text]) => text!);
  return { fields: words.filter((word) => !LANGUAGE.includes(word) && !made.includes(word)), messages };
}

/** Each log statement in the code: its message and its own fields. */
function logged(code: string): { message: string; fields: string[] }[] {
  return [...code.matchAll(/\btracing::(?:info|warn|error)!\(/g)].map((found) => {
    const start = found.index + found[0].length;
    let end = start;
    for (let depth = 1; depth > 0; end += 1) depth += code[end] === '(' ? 1 : code[end] === ')' ? -1 : 0;
    const call = code.slice(start, end - 1);
    const message = /"([^"]*)"\s*,?\s*$/.exec(call)?.[1] ?? '';
    const fields = [...call.matchAll(/(?:^|[,\s])[%?]?([a-z_]+)(?= =|,)/g)].map(([, field]) => field!);
    return { message, fields };
  });
}

const copied = new Synthesized('prod', { backupRegion: 'eu-west-1' });

export const watch: Checks = {
  D28() {
    for (const stage of inAws) {
      const saved = stage.of('AWS::Logs::QueryDefinition').map(({ Properties }) => Properties);
      assert.deepEqual(
        saved.map(({ Name }) => Name),
        QUERIES.map(({ name }) => `revenueflow-${stage.stage.name}/${name}`),
      );
      for (const [index, { of, query }] of QUERIES.entries()) {
        const { QueryString, LogGroupNames } = saved[index]!;
        assert.equal(QueryString, query.join('\n| '));
        const groups = LogGroupNames.map(
          (group: any) => stage.resources()[group.Ref ?? group['Fn::ImportValue']]!.Properties.LogGroupName,
        );
        const prefix = `revenueflow-${stage.stage.name}`;
        assert.deepEqual(
          groups,
          of.map((log) => (log === 'access' ? `/aws/apigateway/${prefix}-access` : `/aws/lambda/${prefix}-${log}`)),
        );
        assert.ok(of.every((log) => log === 'access' || FUNCTIONS.includes(log)));
      }
    }
    assert.deepEqual(local.of('AWS::Logs::QueryDefinition'), []);
    const format = JSON.parse(only(prod.of('AWS::ApiGateway::Stage')).Properties.AccessLogSetting.Format);
    const lines = logged(sources('functions') + sources('shared'));
    assert.ok(lines.length > 80, `${lines.length}`);
    for (const { name, of, query } of QUERIES) {
      const { fields, messages } = parsed(query);
      if (of.includes('access')) {
        for (const field of fields) assert.ok(field in format, `${name}: the access log has no ${field}`);
        continue;
      }
      for (const text of messages)
        assert.ok(
          lines.some(({ message }) => message === text),
          `${name}: "${text}"`,
        );
      const searched = lines.filter(({ message }) => messages.length === 0 || messages.includes(message));
      for (const field of fields) {
        // A field of the message's span, the second span of a line: functions/enrich/tests/function.rs.
        const isOfAll = ['level', 'message', 'spans.1.lead_id'].includes(field);
        assert.ok(isOfAll || searched.some((line) => line.fields.includes(field)), `${name}: no line has ${field}`);
      }
    }
  },

  D29() {
    const { Metrics, Threshold, ThresholdMetricId, ...unusual } = alarm(prod, 'webhooks-below-usual').Properties;
    assert.equal(Threshold, undefined);
    assert.deepEqual(
      [unusual.ComparisonOperator, unusual.EvaluationPeriods, unusual.TreatMissingData],
      ['LessThanLowerThreshold', 1, 'ignore'],
    );
    const band = Metrics.find(({ Id }: any) => Id === ThresholdMetricId);
    const source = only<any>(Metrics.filter(({ MetricStat }: any) => MetricStat));
    assert.equal(band.Expression, `ANOMALY_DETECTION_BAND(${source.Id}, 3)`);
    assert.deepEqual([source.MetricStat.Period, source.MetricStat.Stat, source.ReturnData], [3600, 'Sum', true]);
    // One of the series of the `no-webhooks` alarm, which exclude the synthetic lead.
    const plain = alarm(prod, 'no-webhooks').Properties.Metrics.filter(({ MetricStat }: any) => MetricStat);
    const accepted = plain
      .map(({ MetricStat }: any) => MetricStat.Metric)
      .filter(({ Dimensions }: any) => Dimensions.some(({ Value }: any) => Value === 'accepted'));
    assert.deepEqual(only(accepted), source.MetricStat.Metric);
    for (const stage of [staging, dev]) assert.deepEqual([...having(stage.resources(), 'ThresholdMetricId')], []);
  },

  D30() {
    const vault = (stage: Synthesized, stack: 'data' | 'copies') =>
      only(
        Object.values<any>(stage[stack]!.toJSON().Resources).filter(({ Type }) => Type === 'AWS::Backup::BackupVault'),
      );
    const rule = only<any>(only(copied.of('AWS::Backup::BackupPlan')).Properties.BackupPlan.BackupPlanRule);
    assert.equal(rule.ScheduleExpression, 'cron(0 3 * * ? *)');
    const copy = only<any>(rule.CopyActions);
    assert.equal(copy.Lifecycle.DeleteAfterDays, only(prod.of('AWS::RDS::DBCluster')).Properties.BackupRetentionPeriod);
    // The vault in the other region is referenced by name, since a stack cannot refer to another region's
    // resources.
    const { BackupVaultName } = vault(copied, 'copies').Properties;
    assert.equal(
      render(copy.DestinationBackupVaultArn),
      `arn:aws:backup:eu-west-1:{AWS::AccountId}:backup-vault:${BackupVaultName}`,
    );
    const { Resources } = only(copied.of('AWS::Backup::BackupSelection')).Properties.BackupSelection;
    assert.match(render(Resources), /^arn:aws:rds:us-east-1:\{AWS::AccountId\}:cluster:\{DatabaseCluster/);
    for (const stack of ['data', 'copies'] as const) {
      const { Properties, DeletionPolicy } = vault(copied, stack);
      assert.match(render(Properties.EncryptionKeyArn), /^Key\w+\.Arn$/, stack);
      assert.equal(DeletionPolicy, 'RetainExceptOnCreate', stack);
    }
    const { artifacts } = JSON.parse(readFileSync(`${copied.outdir}/manifest.json`, 'utf8'));
    const { environment, properties } = artifacts['revenueflow-prod-copies'];
    assert.equal(environment, 'aws://unknown-account/eu-west-1');
    assert.equal(properties.terminationProtection, true);
    assert.ok(artifacts['revenueflow-prod-data'].dependencies.includes('revenueflow-prod-copies'));
    assert.deepEqual(copied.findings, []);

    // A failure reaches the subscriber.
    const failure = only(alertPaths(copied).filter(({ from }) => from === 'revenueflow-prod-backup-fails'));
    assert.deepEqual(failure.subscribers, [`email:${SUBSCRIBER}`]);
    const { EventPattern } = only(
      copied.of('AWS::Events::Rule').filter(({ Properties }) => Properties.Name === failure.from),
    ).Properties;
    assert.deepEqual(EventPattern['detail-type'], ['Backup Job State Change', 'Copy Job State Change']);
    assert.deepEqual(EventPattern.detail.state, ['FAILED', 'ABORTED', 'EXPIRED']);

    for (const stage of inAws) {
      assert.deepEqual([stage.of('AWS::Backup::BackupPlan'), stage.copies], [[], undefined], stage.stage.name);
    }
    for (const [name, backupRegion, problem] of [
      ['prod', 'us-east-1', /prod is in that region itself/],
      ['prod', 'eu-west-99', /no region of AWS/],
      ['prod', 'cn-north-1', /cannot be reached from us-east-1/],
      ['staging', 'eu-west-1', /staging is not protected/],
    ] as const) {
      assert.throws(() => shipped(name, { backupRegion }), problem);
    }
  },
};
