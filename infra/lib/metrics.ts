import type { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

import { firewallMetricName } from './firewall.ts';
import type { RustFunction } from './functions.ts';
import { WEBHOOK_PATHS, type HttpApi, type WebhookPath } from './http.ts';
import { METRICS_NAMESPACE } from './names.ts';
import type { Stage } from './stages.ts';

/** The share of webhooks that may be answered with an error of ours: a thousand in a million. */
export const ERROR_BUDGET = 0.001;

/**
 * Log lines about refused credentials, and about requests that an enrichment provider's plan does not
 * include.
 */
const REFUSED =
  '{ ($.code = "*_credentials_refused") || (($.dependency = "enrichment.*") && ($.code = "*_not_allowed")) }';

export interface MetricsProps {
  readonly stage: Stage;
  readonly region: string;
  readonly http: HttpApi;
  /** The functions whose log lines name the code of a failure. */
  readonly readers: Record<string, RustFunction>;
}

/** Metrics from AWS, from the functions' log lines, and from filters on log lines. */
export class Metrics {
  private readonly props: MetricsProps;
  private readonly ofLogs: string;

  constructor(scope: Construct, props: MetricsProps) {
    this.props = props;
    // A filter cannot add a dimension that is missing in the line, so the stage is part of the namespace.
    this.ofLogs = `${METRICS_NAMESPACE}/${props.stage.name}`;
    const count = (id: string, metricName: string, logGroup: logs.ILogGroup, pattern: string, by?: string) =>
      new logs.MetricFilter(scope, id, {
        logGroup,
        filterPattern: logs.FilterPattern.literal(pattern),
        metricNamespace: this.ofLogs,
        metricName,
        metricValue: '1',
        ...(by ? { dimensions: { [by]: `$.${by}` } } : {}),
      });
    const { accessLog } = props.http;
    count('Answers', 'webhook_answers', accessLog, '{ ($.method = "POST") && ($.resource = "/leads") }', 'status');
    count('Throttled', 'throttled', accessLog, '{ $.status = "429" }');
    for (const [id, { log }] of Object.entries(props.readers)) {
      count(`Refused${id}`, 'credentials_refused', log, REFUSED);
    }
  }

  /** A metric that the functions write into their log lines, with these labels. */
  own(
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

  /** The number of log lines that a filter matched. */
  lines(
    metricName: 'webhook_answers' | 'throttled' | 'credentials_refused',
    period: Duration,
    dimensionsMap: Record<string, string> = {},
  ): cloudwatch.Metric {
    return new cloudwatch.Metric({ namespace: this.ofLogs, metricName, dimensionsMap, statistic: 'sum', period });
  }

  /** API Gateway's metrics of a route of webhooks. They also count requests that never reach the functions. */
  webhooks(
    metricName: string,
    statistic: string,
    period: Duration,
    resource: WebhookPath = '/leads',
  ): cloudwatch.Metric {
    const { api } = this.props.http;
    return new cloudwatch.Metric({
      namespace: 'AWS/ApiGateway',
      metricName,
      dimensionsMap: {
        ApiName: api.restApiName,
        Stage: api.deploymentStage.stageName,
        Method: 'POST',
        Resource: resource,
      },
      statistic,
      period,
    });
  }

  /** Webhooks answered by `ingest` with any outcome, excluding the synthetic lead. */
  fromSenders(period: Duration): cloudwatch.MathExpression {
    const outcomes = ['accepted', 'duplicate', 'rejected', 'body_too_large', 'unauthorized', 'unavailable'];
    const metrics = outcomes.map(
      (outcome, index) => [`m${index}`, this.own('revenueflow_webhooks_total', 'sum', period, { outcome })] as const,
    );
    return new cloudwatch.MathExpression({
      expression: sum(metrics.map(([id]) => id)),
      usingMetrics: Object.fromEntries(metrics),
      period,
      label: 'webhooks of senders',
    });
  }

  /**
   * How many times faster than its budget allows webhooks fail, on both routes together; fewer than three
   * errors count as none.
   */
  burnRate(period: Duration): cloudwatch.MathExpression {
    const id = `${period.toMinutes()}m`; // two of these metrics share a graph
    // A route without requests has no data.
    const sum = (kind: string) => WEBHOOK_PATHS.map((_, index) => `FILL(${kind}${index}${id}, 0)`).join(' + ');
    const [errors, requests] = [sum('errors'), sum('requests')];
    return new cloudwatch.MathExpression({
      expression: `IF(${errors} > 2, (${errors}) / (${requests}) / ${ERROR_BUDGET}, 0)`,
      usingMetrics: Object.fromEntries(
        WEBHOOK_PATHS.flatMap((path, index) => [
          [`errors${index}${id}`, this.webhooks('5XXError', 'sum', period, path)],
          [`requests${index}${id}`, this.webhooks('Count', 'sum', period, path)],
        ]),
      ),
      period,
      label: `over ${period.toHumanString()}`,
    });
  }

  /** Requests that the firewall allowed or blocked, over all rules. */
  firewall(metricName: 'AllowedRequests' | 'BlockedRequests', period: Duration): cloudwatch.Metric {
    const { stage, region } = this.props;
    return new cloudwatch.Metric({
      namespace: 'AWS/WAFV2',
      metricName,
      dimensionsMap: { WebACL: firewallMetricName(stage), Region: region, Rule: 'ALL' },
      statistic: 'sum',
      period,
    });
  }

  /** The percentage of analyses with this grounding; 0 if there are fewer than `atLeast` of them. */
  analyses(grounding: 'FALLBACK' | 'REJECTED', atLeast: number, period: Duration): cloudwatch.MathExpression {
    const { ai } = this.props.stage;
    const providers = [ai.provider, ...(ai.provider === 'bedrock' && ai.fallback ? [ai.fallback] : [])];
    const of = (grounding: string) =>
      providers.map((provider) => this.own('revenueflow_analyses_total', 'sum', period, { provider, grounding }));
    const others = ['VALID', 'DOWNGRADED', 'FALLBACK', 'REJECTED'].filter((other) => other !== grounding);
    return share(grounding.toLowerCase(), of(grounding), others.flatMap(of), atLeast, period);
  }
}

/**
 * The percentage of `parts` in `parts` and `others`; 0 if `parts` sums to less than `atLeast`. `prefix` keeps
 * metric ids unique, since several of these may share a graph.
 */
export function share(
  prefix: string,
  parts: cloudwatch.IMetric[],
  others: cloudwatch.IMetric[],
  atLeast: number,
  period: Duration,
): cloudwatch.MathExpression {
  const named = (start: string, metrics: cloudwatch.IMetric[]) =>
    metrics.map((metric, index) => [`${start}${index}`, metric] as const);
  const [of, beside] = [named(prefix, parts), named(`${prefix}Other`, others)];
  const ids = (metrics: typeof of) => metrics.map(([id]) => id);
  const part = sum(ids(of));
  return new cloudwatch.MathExpression({
    expression: `IF(${part} >= ${atLeast}, 100 * ${part} / ${sum([...ids(of), ...ids(beside)])}, 0)`,
    usingMetrics: Object.fromEntries([...of, ...beside]),
    period,
    label: 'percent',
  });
}

/**
 * The sum of time series. A metric that was never counted has no data: SUM skips it, but `+` would have no
 * data either.
 */
export function sum(ids: string[]): string {
  return ids.length === 1 ? ids[0]! : `SUM([${ids.join(', ')}])`;
}
