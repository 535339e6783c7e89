import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

import { alertPublishers } from './alerts.ts';
import { BackupCopies } from './backup.ts';
import { Database } from './database.ts';
import { providerLog } from './logs.ts';
import { intended } from './nag.ts';
import { TIMEOUT_SECONDS, name } from './names.ts';
import { Network } from './network.ts';
import { Secrets } from './secrets.ts';
import type { Stage } from './stages.ts';

/**
 * How often a message is received before SQS moves it to the dead letter queue. This is the safety net for a
 * function that cannot start at all; with the visibility timeout it takes an hour. Not less than
 * `MAX_RECEIVE_COUNT` in `shared/queue/src/sqs.rs`, since the code sends a message again as a copy before
 * that many receives.
 */
const MAX_RECEIVE_COUNT = 20;

/**
 * How long a message of a batch stays hidden if the function ran into its time limit or died.
 *
 * AWS recommends six times the function's timeout, for batches that wait because the function is throttled.
 * With reserved concurrency no batch waits, so one timeout and the poller's overhead are enough.
 */
function visibilitySeconds(stage: Stage): number {
  return stage.reserved ? TIMEOUT_SECONDS.enrich + 60 : 6 * TIMEOUT_SECONDS.enrich;
}

/**
 * Leads and secrets, separate from the code: neither a failed release nor the removal of the other stack
 * deletes them.
 */
export class DataStack extends Stack {
  readonly key: kms.Key;
  readonly queue: sqs.Queue;
  readonly deadLetters: sqs.Queue;
  readonly overflow: s3.Bucket;
  /** The bucket's ARN for the other stack, exported under a stable name. */
  readonly overflowArn: string;
  readonly secrets: Secrets;
  readonly network: Network | undefined;
  readonly database: Database | undefined;

  constructor(scope: Construct, stage: Stage, props: StackProps) {
    super(scope, name(stage, 'data'), { ...props, terminationProtection: stage.protected });
    // Resources of a failed first deployment are deleted: their fixed names would block the next deployment.
    const removalPolicy = stage.protected ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY;

    this.key = new kms.Key(this, 'Key', {
      alias: name(stage, 'data'),
      description: `All data of RevenueFlow ${stage.name}`,
      enableKeyRotation: true,
      removalPolicy,
    });
    this.letServicesUseKey(stage);

    const shared = {
      fifo: true,
      encryption: sqs.QueueEncryption.KMS,
      encryptionMasterKey: this.key,
      dataKeyReuse: Duration.hours(1), // one KMS call per hour and caller instead of one per message
      enforceSSL: true,
      retentionPeriod: Duration.days(14), // the maximum
      removalPolicy,
    };
    this.deadLetters = new sqs.Queue(this, 'DeadLetters', {
      ...shared,
      queueName: name(stage, 'dead-letters.fifo'),
      visibilityTimeout: Duration.seconds(6 * TIMEOUT_SECONDS['dead-letter']),
      redriveAllowPolicy: {
        redrivePermission: sqs.RedrivePermission.BY_QUEUE,
        sourceQueues: [
          sqs.Queue.fromQueueArn(
            this,
            'Source',
            this.formatArn({ service: 'sqs', resource: name(stage, 'leads.fifo') }),
          ),
        ],
      },
    });
    this.queue = new sqs.Queue(this, 'Leads', {
      ...shared,
      queueName: name(stage, 'leads.fifo'),
      // High throughput: throughput limit and deduplication apply per lead, not per queue.
      fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
      deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
      visibilityTimeout: Duration.seconds(visibilitySeconds(stage)),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVE_COUNT },
    });

    this.overflow = new s3.Bucket(this, 'Overflow', {
      encryption: s3.BucketEncryption.KMS,
      encryptionKey: this.key,
      bucketKeyEnabled: true,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      versioned: true, // a lead deleted before it was queued can be restored
      lifecycleRules: [
        // A lead in overflow has been accepted, so it stays until the janitor has queued and removed it.
        { id: 'removed', noncurrentVersionExpiration: Duration.days(14), expiredObjectDeleteMarker: true },
        { id: 'unfinished', abortIncompleteMultipartUploadAfter: Duration.days(1) },
        // Quarantined bodies were rejected, and their senders were informed.
        { id: 'quarantine', prefix: 'quarantine/', expiration: Duration.days(30) },
      ],
      removalPolicy,
      // A bucket with objects blocks the removal of its stack. This is intended, except for test leads.
      autoDeleteObjects: !stage.protected && !stage.emulated,
    });
    if (!stage.protected && !stage.emulated) {
      providerLog(this, 'Custom::S3AutoDeleteObjectsCustomResourceProvider', stage, this.key);
    }
    this.overflowArn = this.exportValue(this.overflow.bucketArn, { name: name(stage, 'overflow-arn') }) as string;
    intended(this.overflow, {
      S1: "Written when the queue refuses a lead and read by one function; every object is versioned, and CloudTrail data events are the account owner's choice.",
    });

    this.secrets = new Secrets(this, stage, this.key, removalPolicy);

    if (stage.database !== 'by-parameter') {
      this.network = new Network(this, stage, this.key);
      this.database = new Database(this, stage, stage.database, this.network, this.key);
      const { backupRegion, database } = stage;
      if (backupRegion) {
        new BackupCopies(this, stage, backupRegion, this.database.cluster, this.key, database.backupDays);
      }
    }

    new CfnOutput(this, 'LeadsQueueUrl', { value: this.queue.queueUrl });
    new CfnOutput(this, 'DeadLettersQueueUrl', { value: this.deadLetters.queueUrl });
    new CfnOutput(this, 'OverflowBucket', { value: this.overflow.bucketName });
  }

  /**
   * Lets AWS services without a role of ours use the key: log groups are encrypted by them, and alarms
   * published.
   */
  private letServicesUseKey(stage: Stage): void {
    this.key.addToResourcePolicy(
      new iam.PolicyStatement({
        sid: 'LogGroups',
        principals: [new iam.ServicePrincipal(`logs.${this.region}.amazonaws.com`)],
        actions: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
        resources: ['*'], // in a key policy: this key
        conditions: {
          ArnLike: {
            'kms:EncryptionContext:aws:logs:arn': this.formatArn({ service: 'logs', resource: 'log-group:*' }),
          },
        },
      }),
    );
    for (const [sid, service] of Object.entries(alertPublishers(stage))) {
      this.key.addToResourcePolicy(
        new iam.PolicyStatement({
          sid,
          principals: [new iam.ServicePrincipal(service)],
          actions: ['kms:Decrypt', 'kms:GenerateDataKey*'],
          resources: ['*'],
          conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
        }),
      );
    }
  }
}
