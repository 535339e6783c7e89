/** The statements of docs/deploy.md about saved queries, unusual counts of webhooks, and copies of backups. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { FUNCTIONS } from '../../lib/names.ts';
import { QUERIES } from '../../lib/queries.ts';
import { stage as shipped } from '../../lib/stages.ts';
import { SUBSCRIBER, Synthesized, said } from '../stacks.ts';
import { ways } from '../walk.ts';
import { alarm, dev, having, inAws, local, only, prod, staging, type Checks } from './common.ts';

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
    // Fields of the functions' lines: tests/deployed/queries.rs. Those of the access log are in its format.
    const format = JSON.parse(only(prod.of('AWS::ApiGateway::Stage')).Properties.AccessLogSetting.Format);
    const words = QUERIES.filter(({ of }) => of.includes('access'))
      .flatMap(({ query }) => query)
      .flatMap((command) => command.replace(/"[^"]*"/g, '').match(/(?<![\w@])[a-z_]+/g) ?? []);
    const language = [
      'filter',
      'and',
      'stats',
      'count',
      'as',
      'requests',
      'max',
      'newest',
      'by',
      'sort',
      'desc',
      'limit',
    ];
    const fields = new Set(words.filter((word) => !language.includes(word)));
    assert.deepEqual([...fields].sort(), ['address', 'firewall', 'method', 'resource', 'status']);
    for (const field of fields) assert.ok(field in format, `the access log has no ${field}`);
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
    // The same series as that of the plain alarm.
    const plain = alarm(prod, 'no-webhooks').Properties;
    assert.deepEqual(source.MetricStat.Metric, {
      Namespace: plain.Namespace,
      MetricName: 'Count',
      Dimensions: plain.Dimensions,
    });
    for (const stage of [staging, dev]) assert.deepEqual([...having(stage.resources(), 'ThresholdMetricId')], []);
  },

  D30() {
    const vault = (stage: Synthesized, where: 'data' | 'copies') =>
      only(
        Object.values<any>(stage[where]!.toJSON().Resources).filter(({ Type }) => Type === 'AWS::Backup::BackupVault'),
      );
    const rule = only<any>(only(copied.of('AWS::Backup::BackupPlan')).Properties.BackupPlan.BackupPlanRule);
    assert.equal(rule.ScheduleExpression, 'cron(0 3 * * ? *)');
    const copy = only<any>(rule.CopyActions);
    assert.equal(copy.Lifecycle.DeleteAfterDays, only(prod.of('AWS::RDS::DBCluster')).Properties.BackupRetentionPeriod);
    // The vault in the other region by its name, since no stack can refer to one of another region.
    const { BackupVaultName } = vault(copied, 'copies').Properties;
    assert.equal(
      said(copy.DestinationBackupVaultArn),
      `arn:aws:backup:eu-west-1:{AWS::AccountId}:backup-vault:${BackupVaultName}`,
    );
    const { Resources } = only(copied.of('AWS::Backup::BackupSelection')).Properties.BackupSelection;
    assert.match(said(Resources), /^arn:aws:rds:us-east-1:\{AWS::AccountId\}:cluster:\{DatabaseCluster/);
    for (const where of ['data', 'copies'] as const) {
      const { Properties, DeletionPolicy } = vault(copied, where);
      assert.match(said(Properties.EncryptionKeyArn), /^Key\w+\.Arn$/, where);
      assert.equal(DeletionPolicy, 'RetainExceptOnCreate', where);
    }
    const { artifacts } = JSON.parse(readFileSync(`${copied.outdir}/manifest.json`, 'utf8'));
    const { environment, properties } = artifacts['revenueflow-prod-copies'];
    assert.equal(environment, 'aws://unknown-account/eu-west-1');
    assert.equal(properties.terminationProtection, true);
    assert.ok(artifacts['revenueflow-prod-data'].dependencies.includes('revenueflow-prod-copies'));
    assert.deepEqual(copied.findings, []);

    // A failure is heard of.
    const failure = only(ways(copied).filter(({ from }) => from === 'revenueflow-prod-backup-fails'));
    assert.deepEqual(failure.heardBy, [`email:${SUBSCRIBER}`]);
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
