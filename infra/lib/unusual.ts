import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';

import type { Alarms } from './alarms.ts';
import type { Metrics } from './metrics.ts';

/**
 * Half the width of the expected band, in standard deviations. CloudWatch's default of 2 covers 95 of 100
 * hours.
 */
const BAND_WIDTH = 3;

/**
 * An alarm on fewer accepted webhooks than usual for the hour of the week, by CloudWatch's anomaly detection,
 * which learns for up to two weeks. The synthetic lead has an outcome of its own and does not count. An hour
 * without webhooks has no data and leaves the alarm's state unchanged: this is usual at night, and
 * `no-webhooks` covers longer gaps.
 */
export function unusualAlarm(scope: Construct, alarms: Alarms, metrics: Metrics): void {
  const id = 'WebhooksBelowUsual';
  alarms.notify(
    new cloudwatch.AnomalyDetectionAlarm(scope, id, {
      alarmName: alarms.named(id),
      alarmDescription:
        'Fewer webhooks accepted in an hour than are usual at this time of the week: a sender has stopped, or a campaign has ended. See also webhooks-refused and no-webhooks.',
      metric: metrics.own('revenueflow_webhooks_total', 'sum', Duration.hours(1), { outcome: 'accepted' }),
      stdDevs: BAND_WIDTH,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_LOWER_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.IGNORE,
    }),
  );
}
