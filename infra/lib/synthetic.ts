import { Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';

import type { Alarms } from './alarms.ts';
import type { Metrics } from './metrics.ts';
import { name } from './names.ts';
import { nodeFunction } from './node.ts';
import type { Stage } from './stages.ts';

const EVERY = Duration.minutes(5);

/** The acceptable time from the synthetic lead's acceptance to its end, in seconds. */
const SLOW_SECONDS = 300;

export interface SyntheticProps {
  readonly stage: Stage;
  readonly key: kms.IKey;
  /** The webhook secrets. */
  readonly webhook: secretsmanager.ISecret;
  /** The URL that senders post to. */
  readonly url: string;
}

/** Posts the synthetic lead to the senders' URL with a sender's secret: `synthetic/index.mjs`. */
export function postSynthetic(scope: Construct, { stage, key, webhook, url }: SyntheticProps): void {
  const { function: poster, role } = nodeFunction(scope, 'Synthetic', {
    stage,
    key,
    functionName: name(stage, 'synthetic'),
    description: 'RevenueFlow: posts the synthetic lead',
    folder: 'synthetic',
    timeout: Duration.seconds(40), // the webhook has 29
    environment: { WEBHOOK_URL: url, WEBHOOK_SECRETS_ARN: webhook.secretArn },
  });
  role.addToPolicy(
    new iam.PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources: [webhook.secretArn] }),
  );
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['kms:Decrypt'],
      resources: [key.keyArn],
      conditions: { StringEquals: { 'kms:ViaService': `secretsmanager.${Stack.of(scope).region}.amazonaws.com` } },
    }),
  );
  // A failed post is not retried: the next scheduled post is equivalent.
  const once = { retryAttempts: 0, maxEventAge: Duration.minutes(1) };
  const live = poster.addAlias('live');
  live.configureAsyncInvoke(once);
  new events.Rule(scope, 'SyntheticSchedule', {
    ruleName: name(stage, 'synthetic'),
    description: 'RevenueFlow: post the synthetic lead',
    schedule: events.Schedule.rate(EVERY),
    targets: [new targets.LambdaFunction(live, once)],
  });
}

/** Two alarms: a slow lead yields a long measurement, a lead that never ends yields none. */
export function syntheticAlarms(alarms: Alarms, metrics: Metrics): void {
  const seconds = (statistic: string) => metrics.own('revenueflow_synthetic_lead_seconds', statistic, EVERY);
  const look =
    'Look at GET /readyz and GET /pauses first: while consumption is paused for an outage of the CRM or another dependency, no lead ends, and this alarm goes off as well. docs/operations.md, the synthetic lead.';
  alarms.add('SyntheticLeadSlow', {
    alarmDescription: `The synthetic lead took more than 5 minutes from its acceptance to its end; real leads are equally slow. ${look}`,
    metric: seconds('max'),
    threshold: SLOW_SECONDS,
  });
  alarms.add('SyntheticLeadMissing', {
    alarmDescription: `No synthetic lead has ended for 15 minutes: the log of revenueflow-STAGE-synthetic shows whether it was posted, that of ingest whether it was accepted, and that of enrich how it was processed. ${look}`,
    metric: seconds('sampleCount'),
    comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold: 1,
    evaluationPeriods: 3,
    treatMissingData: cloudwatch.TreatMissingData.BREACHING,
  });
}
