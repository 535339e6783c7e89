import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';

import type { Metrics } from './metrics.ts';
import { name } from './names.ts';
import type { ObservabilityProps } from './observability.ts';

/** The dashboard for the investigation of an alarm. */
export function dashboard(scope: Construct, { stage, data, functions }: ObservabilityProps, metrics: Metrics): void {
  const { enrich, deadLetter } = functions;
  const minute = Duration.minutes(1);
  const graph = (title: string, left: cloudwatch.IMetric[], right: cloudwatch.IMetric[] = []) =>
    new cloudwatch.GraphWidget({ title, left, right, width: 8, height: 6, liveData: true });
  const post = (metricName: string, statistic: string) => metrics.webhooks(metricName, statistic, minute);

  new cloudwatch.Dashboard(scope, 'Dashboard', {
    dashboardName: name(stage, 'leads'),
    defaultInterval: Duration.hours(3),
    widgets: [
      [
        graph('Webhooks a minute', [post('Count', 'sum')], [post('5XXError', 'sum'), post('4XXError', 'sum')]),
        graph('Time to acknowledge (ms)', [post('Latency', 'p50'), post('Latency', 'p99')]),
        graph('Error budget: burn rate', [metrics.burnRate(Duration.hours(1)), metrics.burnRate(Duration.minutes(5))]),
      ],
      [
        graph('Queue', [
          data.queue.metricApproximateNumberOfMessagesVisible(),
          data.queue.metricApproximateNumberOfMessagesNotVisible(),
        ]),
        graph('Oldest lead waits (s)', [
          data.queue.metricApproximateAgeOfOldestMessage(),
          metrics.own('revenueflow_lead_wait_seconds', 'max', minute),
        ]),
        graph(
          'Dead letters, pauses and open breakers',
          [deadLetter.function.metricInvocations({ statistic: 'sum' })],
          [
            metrics.own('revenueflow_queue_paused', 'max', minute),
            metrics.own('revenueflow_breakers_open', 'max', minute),
          ],
        ),
      ],
      [
        graph(
          'Processed leads, by outcome',
          ['done', 'retry', 'defer', 'copy', 'dead_letter'].map((outcome) =>
            metrics.own('revenueflow_messages_total', 'sum', minute, { outcome }),
          ),
        ),
        graph(
          'Batches at the same time',
          [enrich.function.metric('ConcurrentExecutions', { statistic: 'max' })],
          [enrich.function.metricThrottles()],
        ),
        graph('Time a batch takes (ms)', [
          enrich.function.metricDuration({ statistic: 'p50' }),
          enrich.function.metricDuration({ statistic: 'p99' }),
        ]),
      ],
      [
        graph(
          'Errors of functions',
          Object.values(functions).map((each) => each.function.metricErrors({ statistic: 'sum' })),
        ),
        ...(data.database
          ? [
              graph('Database size (ACU)', [data.database.cluster.metricServerlessDatabaseCapacity()]),
              graph('Database connections', [data.database.cluster.metricDatabaseConnections()]),
            ]
          : []),
      ],
      [
        graph(
          'Webhooks refused, by status',
          ['400', '401', '403', '413', '429'].map((status) => metrics.lines('webhook_answers', minute, { status })),
          [metrics.firewall('BlockedRequests', minute)],
        ),
        graph('Fallback and rejected judgements (%)', [
          metrics.analyses('FALLBACK', 1, Duration.minutes(15)),
          metrics.analyses('REJECTED', 1, Duration.minutes(15)),
        ]),
        graph('Credentials refused', [metrics.lines('credentials_refused', minute)]),
      ],
    ],
  });
}
