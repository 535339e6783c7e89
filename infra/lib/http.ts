import { RemovalPolicy, type Duration } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as logs from 'aws-cdk-lib/aws-logs';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as targets from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';

import { Firewall } from './firewall.ts';
import { logGroup } from './logs.ts';
import { intended } from './nag.ts';
import { name } from './names.ts';
import type { Domain, Stage } from './stages.ts';

export interface HttpApiProps {
  readonly stage: Stage;
  readonly key: kms.IKey;
  /** Answers the webhooks. */
  readonly ingest: lambda.Alias;
  /** Answers everything else. */
  readonly operate: lambda.Alias;
}

/** API Gateway's own answers, in the format of the functions: flat, typed, never empty. */
const ANSWERS: readonly [string, apigateway.ResponseType, string, string][] = [
  ['Throttled', apigateway.ResponseType.THROTTLED, 'throttled', 'too many requests, try again later'],
  ['Filtered', apigateway.ResponseType.WAF_FILTERED, 'forbidden', 'refused by the firewall'],
  ['TooLarge', apigateway.ResponseType.REQUEST_TOO_LARGE, 'body_too_large', 'the body is too large'],
  // After a timeout the lead may be on the queue; the same lead sent again is a duplicate.
  [
    'OurFault',
    apigateway.ResponseType.DEFAULT_5XX,
    'unavailable',
    'it is not known whether the lead was accepted: send it again later',
  ],
  ['TheirFault', apigateway.ResponseType.DEFAULT_4XX, 'bad_request', 'the request cannot be answered'],
];

/** The routes of webhooks, all with POST: of the unnamed sender, and of named ones. */
export const WEBHOOK_PATHS = ['/leads', '/leads/{id}'] as const;

export type WebhookPath = (typeof WEBHOOK_PATHS)[number];

/** TLS 1.2 and newer; the default would still speak TLS 1.0. */
const TLS_POLICY = apigateway.SecurityPolicy.TLS13_1_2_PFS_PQ_2025_09;

/**
 * Logging and metrics of a route, for each entry of the stage. An entry for one method replaces the stage's
 * entry as a whole; settings that it omits are off.
 */
const OBSERVED = {
  metricsEnabled: true,
  loggingLevel: apigateway.MethodLoggingLevel.ERROR,
  dataTraceEnabled: false, // bodies hold personal data
};

/** A REST API, since only REST APIs support a firewall. */
export class HttpApi extends Construct {
  readonly api: apigateway.RestApi;
  readonly accessLog: logs.LogGroup;
  /** The base URL of the routes, with a trailing slash. */
  readonly url: string;
  readonly #stageName: string;

  constructor(scope: Construct, id: string, { stage, key, ingest, operate }: HttpApiProps) {
    super(scope, id);
    this.#stageName = stage.name;
    this.accessLog = logGroup(this, 'AccessLog', stage, key, `/aws/apigateway/${name(stage, 'access')}`);

    const ingestLimits = {
      ...OBSERVED,
      throttlingRateLimit: stage.http.ingest.perSecond,
      throttlingBurstLimit: stage.http.ingest.burst,
    };
    this.api = new apigateway.RestApi(this, 'Api', {
      restApiName: name(stage, 'api'),
      description: `RevenueFlow ${stage.name}`,
      endpointTypes: [apigateway.EndpointType.REGIONAL],
      cloudWatchRole: true, // one per account and region, so it outlives this stage
      cloudWatchRoleRemovalPolicy: RemovalPolicy.RETAIN,
      deployOptions: {
        stageName: stage.name,
        ...OBSERVED,
        tracingEnabled: !stage.emulated,
        throttlingRateLimit: stage.http.operate.perSecond,
        throttlingBurstLimit: stage.http.operate.burst,
        methodOptions: {
          ...Object.fromEntries(WEBHOOK_PATHS.map((path) => [`${path}/POST`, ingestLimits])),
        },
        accessLogDestination: new apigateway.LogGroupLogDestination(this.accessLog),
        accessLogFormat: apigateway.AccessLogFormat.custom(
          // The resource instead of path and query, which may contain personal data from senders and
          // operators.
          JSON.stringify({
            request_id: apigateway.AccessLogField.contextRequestId(),
            function_request_id: '$context.integration.requestId', // the request id in the function's own log
            trace_id: apigateway.AccessLogField.contextXrayTraceId(),
            time: apigateway.AccessLogField.contextRequestTimeEpoch(),
            address: apigateway.AccessLogField.contextIdentitySourceIp(),
            method: apigateway.AccessLogField.contextHttpMethod(),
            resource: apigateway.AccessLogField.contextResourcePath(),
            status: apigateway.AccessLogField.contextStatus(),
            bytes: apigateway.AccessLogField.contextResponseLength(),
            milliseconds: apigateway.AccessLogField.contextResponseLatency(),
            function_status: apigateway.AccessLogField.contextIntegrationStatus(),
            function_milliseconds: apigateway.AccessLogField.contextIntegrationLatency(),
            firewall: '$context.waf.status',
            tls: '$context.tlsVersion',
          }),
        ),
      },
    });
    this.api.node.tryRemoveChild('Endpoint'); // its output has a generated name
    if (!stage.emulated) {
      const raw = this.api.node.defaultChild as apigateway.CfnRestApi;
      raw.securityPolicy = TLS_POLICY;
      raw.endpointAccessMode = 'STRICT';
    }
    const errors = `API-Gateway-Execution-Logs_${this.api.restApiId}/${stage.name}`; // as API Gateway names it
    this.api.deploymentStage.node.addDependency(logGroup(this, 'ExecutionLog', stage, key, errors));

    const call = (alias: lambda.Alias) => new apigateway.LambdaIntegration(alias, { allowTestInvoke: false });
    const leads = this.api.root.addResource('leads');
    leads.addMethod('POST', call(ingest));
    leads.addMethod('ANY', call(operate));
    this.api.root.addMethod('ANY', call(operate));
    this.api.root.addProxy({ anyMethod: true, defaultIntegration: call(operate) });
    // A named source posts to its own path; operators read a lead there.
    const one = leads.addResource('{id}');
    one.addMethod('POST', call(ingest));
    one.addMethod('ANY', call(operate));
    one.addProxy({ anyMethod: true, defaultIntegration: call(operate) });

    for (const [id, type, error, message] of ANSWERS) {
      this.api.addGatewayResponse(id, {
        type,
        templates: { 'application/json': JSON.stringify({ status: 'rejected', error, message }) },
      });
    }

    const { domain } = stage.http;
    if (domain) this.addDomain(domain);
    this.url = domain ? `https://${domain.name}/` : this.api.url;

    if (!stage.emulated) new Firewall(this, 'Firewall', { stage, key, api: this.api.deploymentStage });
    intended(this.api, {
      APIG2: 'The functions validate requests, and report errors in the format that senders know.',
      APIG4: 'The functions authenticate senders and operators: Marketo can send a header but no signature.',
      COG4: 'Senders are machines and operators have a token; there are no users to keep in a pool.',
      'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]':
        'The permissions of API Gateway to write logs, once per account and region.',
    });
  }

  /** A custom domain, which can move to another API or region without a change at the senders. */
  private addDomain(domain: Domain): void {
    const zone = route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
      hostedZoneId: domain.zone.id,
      zoneName: domain.zone.name,
    });
    const named = this.api.addDomainName('Domain', {
      domainName: domain.name,
      certificate: new acm.Certificate(this, 'Certificate', {
        domainName: domain.name,
        validation: acm.CertificateValidation.fromDns(zone),
      }),
      endpointType: apigateway.EndpointType.REGIONAL,
      securityPolicy: TLS_POLICY,
      endpointAccessMode: apigateway.EndpointAccessMode.STRICT,
    });
    new route53.ARecord(this, 'Address', {
      zone,
      recordName: domain.name,
      target: route53.RecordTarget.fromAlias(new targets.ApiGatewayDomain(named)),
    });
  }

  /** The number of 5xx answers on these routes, by the functions or by API Gateway in their place. */
  serverErrors(routes: [method: string, resource: string][], period: Duration): cloudwatch.IMetric {
    const of = ([Method, Resource]: [string, string]) =>
      new cloudwatch.Metric({
        namespace: 'AWS/ApiGateway',
        metricName: '5XXError',
        dimensionsMap: {
          ApiName: this.api.restApiName,
          Stage: this.#stageName, // by name: the stage depends on the aliases, and their releases depend on these alarms
          Method,
          Resource,
        },
        statistic: 'sum',
        period,
      });
    const metrics = routes.map(of);
    if (metrics.length === 1) return metrics[0]!;
    const usingMetrics = Object.fromEntries(metrics.map((metric, index) => [`m${index}`, metric]));
    return new cloudwatch.MathExpression({ expression: 'SUM(METRICS())', usingMetrics, period });
  }
}
