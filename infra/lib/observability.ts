import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import type { DataStack } from './data.ts';
import type { HttpApi } from './http.ts';
import { METRICS_NAMESPACE, name } from './names.ts';
import type { Stage } from './stages.ts';

export interface ObservabilityProps {
  readonly stage: Stage;
  readonly data: DataStack;
  readonly alerts: sns.ITopic;
  readonly http: HttpApi;
  readonly ingest: lambda.IFunction;
  readonly enrich: lambda.IFunction;
  readonly deadLetter: lambda.IFunction;
  readonly janitor: lambda.IFunction;
  readonly api: lambda.IFunction;
}

/** Of a million webhooks, a thousand may be answered with an error of ours. */
const ERROR_BUDGET = 0.001;

/**
 * How fast the month's error budget may burn: 14.4 times as fast uses 2 % of it in an hour, 6 times 5 % in six hours. The
 * long window says that it matters, the short one that it still happens.
 */
const BURN_RATES = [
  { id: 'Fast', rate: 14.4, long: Duration.hours(1), short: Duration.minutes(5) },
  { id: 'Slow', rate: 6, long: Duration.hours(6), short: Duration.minutes(30) },
];

/** What tells people that something is wrong, and where they then look. */
export class Observability extends Construct {
  private readonly props: ObservabilityProps;

  constructor(scope: Construct, id: string, props: ObservabilityProps) {
    super(scope, id);
    this.props = props;
    this.alarms();
    this.dashboard();
  }

  private alarms(): void {
    const { stage, data, enrich, deadLetter, janitor } = this.props;
    // What the janitor measures comes once a turn: a shorter look would see nothing in between, and call that well.
    const turns = Duration.minutes(Math.max(5, 2 * stage.janitorEveryMinutes));
    for (const { id, rate, long, short } of BURN_RATES) {
      const over = (window: string, period: Duration) =>
        this.alarm(`${id}Burn${window}`, false, {
          alarmDescription: `POST /leads fails ${rate} times as fast as its error budget allows, over ${period.toHumanString()}.`,
          metric: this.burnRate(period),
          threshold: rate,
        });
      this.notify(
        new cloudwatch.CompositeAlarm(this, `${id}Burn`, {
          compositeAlarmName: this.named(`${id}Burn`),
          alarmDescription: `Webhooks are answered with errors: at this rate the month's error budget of ${ERROR_BUDGET * 100} % is soon gone. docs/deploy.md, alarms.`,
          alarmRule: cloudwatch.AlarmRule.allOf(over('Long', long), over('Short', short)),
        }),
      );
    }

    this.alarm('LeadsWait', true, {
      alarmDescription:
        'The oldest lead has waited for 15 minutes: nothing takes leads off the queue, or a dependency is down.',
      metric: data.queue.metricApproximateAgeOfOldestMessage({ period: Duration.minutes(5), statistic: 'max' }),
      threshold: 900,
      evaluationPeriods: 3,
    });
    // On the function that drains it: the dead letter queue itself is empty again in seconds.
    this.alarm('LeadParked', true, {
      alarmDescription: 'A lead was parked for good: GET /dead-letters has the reason.',
      metric: deadLetter.metricInvocations({ period: Duration.minutes(1), statistic: 'sum' }),
      threshold: 1,
    });
    this.alarm('DeadLetterFails', true, {
      alarmDescription: 'Parked leads are not recorded; they stay on the dead letter queue for 14 days.',
      metric: deadLetter.metricErrors({ period: Duration.minutes(5), statistic: 'sum' }),
      threshold: 1,
    });
    this.alarm('DeadLettersWait', true, {
      alarmDescription: 'The dead letter queue is not drained.',
      metric: data.deadLetters.metricApproximateAgeOfOldestMessage({ period: Duration.minutes(5), statistic: 'max' }),
      threshold: 900,
    });
    this.alarm('BreakerOpen', true, {
      alarmDescription:
        'The CRM, the AI or an enrichment provider is down: GET /readyz names it where leads are held back for it.',
      metric: this.own('revenueflow_breakers_open', 'max', turns),
      threshold: 1,
      evaluationPeriods: 2,
    });
    this.alarm('EnrichFails', true, {
      alarmDescription: 'The enrich function itself fails, not single leads.',
      metric: enrich.metricErrors({ period: Duration.minutes(5), statistic: 'sum' }),
      threshold: 3,
    });
    this.alarm('JanitorFails', true, {
      alarmDescription: 'The janitor fails: what is paused stays paused, and what overflowed is not queued.',
      metric: janitor.metricErrors({ period: turns, statistic: 'sum' }),
      threshold: Math.min(3, turns.toMinutes() / stage.janitorEveryMinutes),
    });
    this.alarm('JanitorSilent', true, {
      alarmDescription: 'The janitor has not run in four turns.',
      metric: janitor.metricInvocations({ period: Duration.minutes(2 * stage.janitorEveryMinutes), statistic: 'sum' }),
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 1,
      evaluationPeriods: 2,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    });
    this.alarm('LeadsOverdue', true, {
      alarmDescription:
        'Nobody responded to a lead in the time that the routing rules give: the log names lead and owner.',
      metric: this.own('revenueflow_overdue_leads_total', 'sum', turns),
      threshold: 1,
    });
    this.alarm('LeadsOverflow', true, {
      alarmDescription: 'The queue refuses leads; they go to the overflow bucket, and are queued later.',
      metric: this.own('revenueflow_overflow_total', 'sum', Duration.minutes(5)),
      threshold: 1,
    });
    this.alarm('AlertFails', true, {
      alarmDescription: 'Somebody could not be told of a parked lead: GET /dead-letters has it.',
      metric: this.own('revenueflow_alert_failures_total', 'sum', Duration.minutes(5)),
      threshold: 1,
    });
    this.alarm('QuarantineFails', true, {
      alarmDescription:
        'A rejected body could not be kept: its sender was told what is wrong, and nobody else can see it.',
      metric: this.own('revenueflow_quarantine_failures_total', 'sum', Duration.minutes(5)),
      threshold: 1,
    });
    if (data.database) {
      this.alarm('DatabaseFull', true, {
        alarmDescription: 'The database is at its largest: raise maxAcu in infra/lib/stages.ts.',
        metric: data.database.cluster.metricACUUtilization({ period: Duration.minutes(5), statistic: 'max' }),
        threshold: 90,
        evaluationPeriods: 3,
      });
    }
  }

  private dashboard(): void {
    const { stage, data, ingest, enrich, deadLetter, janitor, api } = this.props;
    const minute = Duration.minutes(1);
    const graph = (title: string, left: cloudwatch.IMetric[], right: cloudwatch.IMetric[] = []) =>
      new cloudwatch.GraphWidget({ title, left, right, width: 8, height: 6, liveData: true });
    const post = (metricName: string, statistic: string) => this.webhooks(metricName, statistic, minute);

    new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: name(stage, 'leads'),
      defaultInterval: Duration.hours(3),
      widgets: [
        [
          graph('Webhooks a minute', [post('Count', 'sum')], [post('5XXError', 'sum'), post('4XXError', 'sum')]),
          graph('Time to acknowledge (ms)', [post('Latency', 'p50'), post('Latency', 'p99')]),
          graph('Error budget: burn rate', [this.burnRate(Duration.hours(1)), this.burnRate(Duration.minutes(5))]),
        ],
        [
          graph('Queue', [
            data.queue.metricApproximateNumberOfMessagesVisible(),
            data.queue.metricApproximateNumberOfMessagesNotVisible(),
          ]),
          graph('Oldest lead waits (s)', [data.queue.metricApproximateAgeOfOldestMessage()]),
          graph(
            'Parked and held back',
            [deadLetter.metricInvocations({ statistic: 'sum' })],
            [this.own('revenueflow_queue_paused', 'max', minute), this.own('revenueflow_breakers_open', 'max', minute)],
          ),
        ],
        [
          graph(
            'Leads worked on, by outcome',
            ['done', 'retry', 'defer', 'dead_letter'].map((outcome) =>
              this.own('revenueflow_messages_total', 'sum', minute, { outcome }),
            ),
          ),
          graph(
            'Batches at the same time',
            [enrich.metric('ConcurrentExecutions', { statistic: 'max' })],
            [enrich.metricThrottles()],
          ),
          graph('Time a batch takes (ms)', [
            enrich.metricDuration({ statistic: 'p50' }),
            enrich.metricDuration({ statistic: 'p99' }),
          ]),
        ],
        [
          graph(
            'Errors of functions',
            [ingest, enrich, deadLetter, janitor, api].map((each) => each.metricErrors({ statistic: 'sum' })),
          ),
          ...(data.database
            ? [
                graph('Database size (ACU)', [data.database.cluster.metricServerlessDatabaseCapacity()]),
                graph('Database connections', [data.database.cluster.metricDatabaseConnections()]),
              ]
            : []),
        ],
      ],
    });
  }

  /** How many times faster than the budget allows `POST /leads` fails; fewer than three errors are nobody's evening. */
  private burnRate(period: Duration): cloudwatch.MathExpression {
    const id = `${period.toMinutes()}m`; // two of these share a graph
    return new cloudwatch.MathExpression({
      expression: `IF(errors${id} > 2, errors${id} / requests${id} / ${ERROR_BUDGET}, 0)`,
      usingMetrics: {
        [`errors${id}`]: this.webhooks('5XXError', 'sum', period),
        [`requests${id}`]: this.webhooks('Count', 'sum', period),
      },
      period,
      label: `over ${period.toHumanString()}`,
    });
  }

  /** API Gateway's metrics of `POST /leads`: they count even where our code does not run. */
  private webhooks(metricName: string, statistic: string, period: Duration): cloudwatch.Metric {
    const { api } = this.props.http;
    return new cloudwatch.Metric({
      namespace: 'AWS/ApiGateway',
      metricName,
      dimensionsMap: {
        ApiName: api.restApiName,
        Stage: api.deploymentStage.stageName,
        Method: 'POST',
        Resource: '/leads',
      },
      statistic,
      period,
    });
  }

  /** A metric that the functions write into their log lines. */
  private own(
    metricName: string,
    statistic: string,
    period: Duration,
    dimensions: Record<string, string> = {},
  ): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: METRICS_NAMESPACE,
      metricName,
      dimensionsMap: { stage: this.props.stage.name, ...dimensions },
      statistic,
      period,
    });
  }

  private alarm(
    id: string,
    notify: boolean,
    props: Omit<cloudwatch.AlarmProps, 'evaluationPeriods'> & { evaluationPeriods?: number },
  ): cloudwatch.Alarm {
    const alarm = new cloudwatch.Alarm(this, id, {
      evaluationPeriods: 1,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      ...props,
      alarmName: this.named(id),
    });
    if (notify) this.notify(alarm);
    return alarm;
  }

  private notify(alarm: cloudwatch.AlarmBase): void {
    const action = new actions.SnsAction(this.props.alerts);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
  }

  private named(id: string): string {
    return name(this.props.stage, id.replace(/([a-z])([A-Z])/g, '$1-$2').toLowerCase());
  }
}
