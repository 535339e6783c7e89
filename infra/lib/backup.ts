import { ArnFormat, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as backup from 'aws-cdk-lib/aws-backup';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import type * as rds from 'aws-cdk-lib/aws-rds';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import { intended } from './nag.ts';
import { name } from './names.ts';
import type { Stage } from './stages.ts';

/**
 * Days to keep the local backup behind a copy, in case the copy is late. Aurora's own backups cover the
 * region.
 */
const ORIGINAL_DAYS = 2;

/** The name of the vault for copied backups, in the other region. */
export function copiesVaultName(stage: Stage): string {
  return name(stage, 'copies');
}

/** The vault in the other region, with a key of that region. It outlives all other resources of the stage. */
export class CopiesStack extends Stack {
  constructor(scope: Construct, stage: Stage, props: StackProps) {
    super(scope, name(stage, 'copies'), { ...props, terminationProtection: stage.protected });
    const key = new kms.Key(this, 'Key', {
      alias: name(stage, 'copies'),
      description: `Copies of the backups of RevenueFlow ${stage.name}`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
    new backup.BackupVault(this, 'Vault', {
      backupVaultName: copiesVaultName(stage),
      encryptionKey: key,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
  }
}

/**
 * A nightly backup of the cluster, copied to `region` and kept there as long as Aurora keeps its own backups.
 */
export class BackupCopies extends Construct {
  constructor(
    scope: Construct,
    stage: Stage,
    region: string,
    cluster: rds.DatabaseCluster,
    key: kms.IKey,
    days: number,
  ) {
    super(scope, 'BackupCopies');
    const vault = new backup.BackupVault(this, 'Vault', {
      backupVaultName: name(stage, 'backups'),
      encryptionKey: key,
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
    const copies = Stack.of(this).formatArn({
      service: 'backup',
      region,
      resource: 'backup-vault',
      resourceName: copiesVaultName(stage),
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    const plan = new backup.BackupPlan(this, 'Plan', {
      backupPlanName: name(stage, 'copies'),
      backupVault: vault,
      backupPlanRules: [
        new backup.BackupPlanRule({
          ruleName: 'nightly',
          scheduleExpression: events.Schedule.cron({ hour: '3', minute: '0' }),
          startWindow: Duration.hours(1),
          completionWindow: Duration.hours(6),
          deleteAfter: Duration.days(ORIGINAL_DAYS),
          copyActions: [
            {
              destinationBackupVault: backup.BackupVault.fromBackupVaultArn(this, 'Copies', copies),
              deleteAfter: Duration.days(days),
            },
          ],
        }),
      ],
    });
    const selection = plan.addSelection('Database', {
      backupSelectionName: 'database',
      resources: [backup.BackupResource.fromArn(cluster.clusterArn)],
    });
    intended(selection, {
      'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup]':
        'The permissions of AWS Backup for backups and copies; AWS extends them as the service changes.',
    });
  }
}

/**
 * Alerts about a failed backup or copy. The rule covers the whole region, since AWS Backup has one list of
 * jobs per region.
 */
export function alertAboutBackups(scope: Construct, stage: Stage, alerts: sns.ITopic): void {
  new events.Rule(scope, 'BackupFails', {
    ruleName: name(stage, 'backup-fails'),
    description: 'RevenueFlow: a backup or its copy to another region failed',
    eventPattern: {
      source: ['aws.backup'],
      detailType: ['Backup Job State Change', 'Copy Job State Change'],
      detail: { state: ['FAILED', 'ABORTED', 'EXPIRED'] },
    },
    // Not CDK's target for topics: it would let EventBridge publish for any account.
    targets: [{ bind: () => ({ arn: alerts.topicArn }) }],
  });
}
