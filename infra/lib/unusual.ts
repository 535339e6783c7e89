import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';

import type { Alarms } from './alarms.ts';
import type { Metrics } from './metrics.ts';

/** Half the width of the band of usual counts, in standard deviations. CloudWatch's default of 2 takes in 95 of 100 hours. */
const BAND_WIDTH = 3;

/**
 * An alarm on fewer accepted webhooks than are usual at the hour of the week, by CloudWatch's anomaly detection. It learns for up
 * to two weeks. The posts of the synthetic lead have an outcome of their own and do not count. An hour without webhooks has no data
 * and leaves the alarm as it is: at night it is usual, and `no-webhooks` ends a longer one.
 */
export function unusualAlarm(scope: Construct, alarms: Alarms, metrics: Metrics): void {
  const id = 'WebhooksBelowUsual';
  alarms.notify(
    new cloudwatch.AnomalyDetectionAlarm(scope, id, {
      alarmName: alarms.named(id),
      alarmDescription:
        'Fewer webhooks accepted in an hour than are usual at this time of the week: has a sender stopped, or a campaign ended? webhooks-refused and no-webhooks say more.',
      metric: metrics.own('revenueflow_webhooks_total', 'sum', Duration.hours(1), { outcome: 'accepted' }),
      stdDevs: BAND_WIDTH,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_LOWER_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.IGNORE,
    }),
  );
}
