import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';

import { ERROR_BUDGET, share, sum, type Metrics } from './metrics.ts';
import { name } from './names.ts';
import type { ObservabilityProps } from './observability.ts';
import type { Stage } from './stages.ts';

/**
 * How fast the month's error budget may burn: 14.4 times as fast uses 2 % of it in an hour, 6 times as fast 5
 * % in six hours. The long window shows that the rate matters, the short one that it still persists.
 */
const BURN_RATES = [
  { id: 'Fast', rate: 14.4, long: Duration.hours(1), short: Duration.minutes(5) },
  { id: 'Slow', rate: 6, long: Duration.hours(6), short: Duration.minutes(30) },
];

const MINUTE = Duration.minutes(1);
const FIVE = Duration.minutes(5);
const QUARTER = Duration.minutes(15);
const HOUR = Duration.hours(1);

/** How long a lead may wait before an alarm, in seconds. */
const LEAD_WAIT_SECONDS = 900;

type AlarmProps = Omit<cloudwatch.AlarmProps, 'evaluationPeriods'> & { readonly evaluationPeriods?: number };

/** Creates alarms that notify the topic, unless they are parts of a composite alarm. */
export class Alarms {
  private readonly scope: Construct;
  private readonly stage: Stage;
  private readonly topic: sns.ITopic;

  constructor(scope: Construct, stage: Stage, topic: sns.ITopic) {
    this.scope = scope;
    this.stage = stage;
    this.topic = topic;
  }

  add(id: string, props: AlarmProps): void {
    this.notify(this.part(id, props));
  }

  /** Goes off when all of its parts do. */
  addComposite(id: string, alarmDescription: string, parts: cloudwatch.Alarm[]): void {
    this.notify(
      new cloudwatch.CompositeAlarm(this.scope, id, {
        compositeAlarmName: this.named(id),
        alarmDescription,
        alarmRule: cloudwatch.AlarmRule.allOf(...parts),
      }),
    );
  }

  part(id: string, props: AlarmProps): cloudwatch.Alarm {
    return new cloudwatch.Alarm(this.scope, id, {
      evaluationPeriods: 1,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      ...props,
      alarmName: this.named(id),
    });
  }

  notify(alarm: cloudwatch.AlarmBase): void {
    const action = new actions.SnsAction(this.topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
  }

  named(id: string): string {
    return name(this.stage, id.replace(/([a-z])([A-Z])/g, '$1-$2').toLowerCase());
  }
}

/** Webhooks that are not accepted, through a fault of ours or of the sender. */
export function intakeAlarms(alarms: Alarms, { stage }: ObservabilityProps, metrics: Metrics): void {
  for (const { id, rate, long, short } of BURN_RATES) {
    const over = (window: string, period: Duration) =>
      alarms.part(`${id}Burn${window}`, {
        alarmDescription: `POST /leads fails ${rate} times as fast as its error budget allows, over ${period.toHumanString()}.`,
        metric: metrics.burnRate(period),
        threshold: rate,
      });
    alarms.addComposite(
      `${id}Burn`,
      `Webhooks are answered with errors: at this rate the month's error budget of ${ERROR_BUDGET * 100} % is soon gone. docs/deploy.md, alarms.`,
      [over('Long', long), over('Short', short)],
    );
  }

  const answered = (...statuses: string[]) =>
    statuses.map((status) => metrics.lines('webhook_answers', QUARTER, { status }));
  const taken = ['202'];
  const refused = ['401', '403', '429'];
  const malformed = ['400', '413'];
  alarms.add('WebhooksRefused', {
    alarmDescription:
      'A fifth of the webhooks is refused before their bodies are read (401, 403, 429): a secret that differs at the sender, the firewall, or throttling. Senders may not repeat them.',
    metric: share('refused', answered(...refused), answered(...taken, ...malformed), 5, QUARTER),
    threshold: 20,
  });
  alarms.add('WebhooksMalformed', {
    alarmDescription:
      "A fifth of the webhooks contains no valid lead (400): the sender's template is broken. GET /quarantine lists the bodies.",
    metric: share('malformed', answered(...malformed), answered(...taken, ...refused), 5, QUARTER),
    threshold: 20,
  });
  alarms.add('WebhooksUnauthorized', {
    alarmDescription:
      'Webhooks arrive without a valid secret. This alarm also covers senders too small for webhooks-refused. The log of ingest has the reason.',
    metric: metrics.own('revenueflow_webhooks_total', 'sum', HOUR, { outcome: 'unauthorized' }),
    threshold: 5,
  });
  alarms.add('OperatorsUnauthorized', {
    alarmDescription:
      'Requests to the routes of operators have an unknown token: it was revoked at a caller that still uses it, or it is guessed. The log of api has the routes, the access log the addresses.',
    metric: metrics.own('revenueflow_operator_refusals_total', 'sum', HOUR, { reason: 'unknown_token' }),
    threshold: 5,
  });
  alarms.add('ApiThrottled', {
    alarmDescription: 'API Gateway answers 429: raise http.ingest or http.operate in infra/lib/stages.ts.',
    metric: metrics.lines('throttled', FIVE),
    threshold: 1,
  });
  alarms.add('FirewallBlocks', {
    alarmDescription:
      "The firewall blocks a twentieth of the requests: the log group aws-waf-logs-.. has rule and address. Check whether the address is a sender's.",
    metric: share(
      'blocked',
      [metrics.firewall('BlockedRequests', QUARTER)],
      [metrics.firewall('AllowedRequests', QUARTER)],
      20,
      QUARTER,
    ),
    threshold: 5,
  });
  if (stage.alerts.quietHours) {
    alarms.add('NoWebhooks', {
      alarmDescription: `No webhook has arrived for ${stage.alerts.quietHours} hours, apart from the synthetic lead. Check whether the senders still post, and to this address.`,
      metric: metrics.fromSenders(HOUR),
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 1,
      evaluationPeriods: stage.alerts.quietHours,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    });
  }
  alarms.add('LeadsOverflow', {
    alarmDescription: 'The queue refuses leads; they are stored in the overflow bucket and queued later.',
    metric: metrics.own('revenueflow_overflow_total', 'sum', FIVE),
    threshold: 1,
  });
  alarms.add('QuarantineFails', {
    alarmDescription:
      'A rejected body could not be stored: the sender got the reason, but GET /quarantine does not list the body.',
    metric: metrics.own('revenueflow_quarantine_failures_total', 'sum', FIVE),
    threshold: 1,
  });
}

/** Leads that are accepted and not done. */
export function leadAlarms(alarms: Alarms, { stage, data, functions }: ObservabilityProps, metrics: Metrics): void {
  const runs = Duration.minutes(janitorPeriodMinutes(stage));
  const { deadLetter } = functions;
  alarms.add('LeadsWait', {
    alarmDescription: 'The oldest message has waited for 15 minutes: no function consumes the lead queue.',
    metric: data.queue.metricApproximateAgeOfOldestMessage({ period: FIVE, statistic: 'max' }),
    threshold: LEAD_WAIT_SECONDS,
    evaluationPeriods: 3,
  });
  // A lead that waits for a dependency is sent again as a new message, whose age in SQS starts at zero.
  alarms.add('LeadsWaitLong', {
    alarmDescription:
      'A lead that was accepted 15 minutes ago is deferred repeatedly: a dependency or the database is down, or a burst exceeds a limit. GET /readyz names it.',
    metric: metrics.own('revenueflow_lead_wait_seconds', 'max', FIVE),
    threshold: LEAD_WAIT_SECONDS,
    evaluationPeriods: 3,
  });
  // On the function that drains the dead letter queue: the queue itself is empty again within seconds.
  alarms.add('LeadParked', {
    alarmDescription: 'A lead was dead-lettered: GET /dead-letters has the reason.',
    metric: deadLetter.function.metricInvocations({ period: MINUTE, statistic: 'sum' }),
    threshold: 1,
  });
  alarms.add('DeadLetterFails', {
    alarmDescription: 'Dead-lettered leads are not recorded; they stay on the dead letter queue for 14 days.',
    metric: deadLetter.function.metricErrors({ period: FIVE, statistic: 'sum' }),
    threshold: 1,
  });
  alarms.add('DeadLettersWait', {
    alarmDescription: 'The dead letter queue is not drained.',
    metric: data.deadLetters.metricApproximateAgeOfOldestMessage({ period: FIVE, statistic: 'max' }),
    threshold: 900,
  });
  alarms.add('AlertFails', {
    alarmDescription: 'The alert about a dead-lettered lead could not be sent: GET /dead-letters has the lead.',
    metric: metrics.own('revenueflow_alert_failures_total', 'sum', FIVE),
    threshold: 1,
  });
  alarms.add('LeadsOverdue', {
    alarmDescription: 'A lead had no response within the time of its routing rule: the log names lead and owner.',
    metric: metrics.own('revenueflow_overdue_leads_total', 'sum', runs),
    threshold: 1,
  });
}

/** Outside systems. */
export function dependencyAlarms(alarms: Alarms, { stage, data }: ObservabilityProps, metrics: Metrics): void {
  alarms.add('BreakerOpen', {
    alarmDescription:
      'The CRM, the AI or an enrichment provider is down: GET /readyz names it if leads are deferred for it.',
    metric: metrics.own('revenueflow_breakers_open', 'max', Duration.minutes(janitorPeriodMinutes(stage))),
    threshold: 1,
    evaluationPeriods: 2,
  });
  alarms.add('CredentialsRefused', {
    alarmDescription:
      "The AI, the CRM or an enrichment provider refuses our credentials or plan: the log has the code. Store new ones in the secret, which the functions reload, or change the provider's plan.",
    // A refused system is called again every five minutes, so a shorter period would clear the alarm at each
    // pause.
    metric: metrics.lines('credentials_refused', QUARTER),
    threshold: 1,
  });
  alarms.add('AiFallsBack', {
    alarmDescription:
      'A fifth of the leads gets the neutral verdict, because the AI does not answer: they are rescored once it does.',
    metric: metrics.analyses('FALLBACK', 3, QUARTER),
    threshold: 20,
  });
  alarms.add('AiRejected', {
    alarmDescription:
      'A tenth of the judgements breaks the grounding contract, and their leads are held for review. Check for a change of the model or the prompt.',
    metric: metrics.analyses('REJECTED', 5, HOUR),
    threshold: 10,
  });
  if (data.database) {
    alarms.add('DatabaseFull', {
      alarmDescription: 'The database is at its maximum size: raise maxAcu in infra/lib/stages.ts.',
      metric: data.database.cluster.metricACUUtilization({ period: FIVE, statistic: 'max' }),
      threshold: 90,
      evaluationPeriods: 3,
    });
  }
}

/** The functions themselves. */
export function functionAlarms(alarms: Alarms, { stage, functions }: ObservabilityProps): void {
  const runs = Duration.minutes(janitorPeriodMinutes(stage));
  const { enrich, janitor } = functions;
  const together = (metricName: string) => {
    const metrics = Object.entries(functions).map(
      ([id, each]) => [id, each.function.metric(metricName, { statistic: 'sum', period: FIVE })] as const,
    );
    return new cloudwatch.MathExpression({
      expression: sum(metrics.map(([id]) => id)),
      usingMetrics: Object.fromEntries(metrics),
      period: FIVE,
    });
  };
  alarms.add('EnrichFails', {
    alarmDescription: 'The enrich function itself fails, not individual leads.',
    metric: enrich.function.metricErrors({ period: FIVE, statistic: 'sum' }),
    threshold: 3,
  });
  alarms.add('JanitorFails', {
    alarmDescription: 'The janitor fails: paused consumption is not resumed, and overflowed leads are not queued.',
    metric: janitor.function.metricErrors({ period: runs, statistic: 'sum' }),
    threshold: Math.min(3, runs.toMinutes() / stage.janitorEveryMinutes),
  });
  alarms.add('JanitorSilent', {
    alarmDescription: 'The janitor has not run for four scheduled intervals.',
    metric: janitor.function.metricInvocations({
      period: Duration.minutes(2 * stage.janitorEveryMinutes),
      statistic: 'sum',
    }),
    comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold: 1,
    evaluationPeriods: 2,
    treatMissingData: cloudwatch.TreatMissingData.BREACHING,
  });
  alarms.add('FunctionsThrottled', {
    alarmDescription:
      "Lambda refuses to start functions: their reserved concurrency or the account's quota is used up.",
    metric: together('Throttles'),
    threshold: 5,
  });
  alarms.add('LoopDropped', {
    alarmDescription:
      'Lambda takes a function for a runaway loop and drops its messages: the setting RecursiveLoop of enrich must be Allow.',
    metric: together('RecursiveInvocationsDropped'),
    threshold: 1,
  });
}

/**
 * The janitor reports its metrics once per run: a shorter period would have no data in between and clear the
 * alarm.
 */
function janitorPeriodMinutes(stage: Stage): number {
  return Math.max(5, 2 * stage.janitorEveryMinutes);
}
