import { CfnOutput, CfnParameter, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type * as sns from 'aws-cdk-lib/aws-sns';
import * as triggers from 'aws-cdk-lib/triggers';
import type { Construct } from 'constructs';

import { alertTopic } from './alerts.ts';
import { alertAboutBackups } from './backup.ts';
import { BillGuard } from './budget.ts';
import type { DataStack } from './data.ts';
import { RustFunction, type RustFunctionProps } from './functions.ts';
import { HttpApi } from './http.ts';
import { providerLog } from './logs.ts';
import { intended } from './nag.ts';
import { AI_TIMEOUT_SECONDS, TIMEOUT_SECONDS, name, type FunctionName } from './names.ts';
import { Observability } from './observability.ts';
import { shiftSlowly } from './releases.ts';
import { FILES, variables, type Files } from './settings.ts';
import type { Stage } from './stages.ts';
import { postSynthetic } from './synthetic.ts';

const ALL_FILES = Object.keys(FILES) as (keyof Files)[];

/** Prefixes of Bedrock's inference profiles, as in `shared/analysis/src/models.rs`. */
const PROFILES = ['global.', 'us.', 'eu.', 'apac.', 'us-gov.', 'jp.', 'au.'];

/** The code and its triggers. The stack can be removed and deployed again without loss. */
export class ServiceStack extends Stack {
  private readonly stage: Stage;
  private readonly data: DataStack;
  private readonly binaries: string;

  constructor(scope: Construct, stage: Stage, data: DataStack, binaries: string, props: StackProps) {
    super(scope, name(stage, 'service'), { ...props, terminationProtection: stage.protected });
    this.stage = stage;
    this.data = data;
    this.binaries = binaries;

    const alerts = alertTopic(this, stage, data.key);
    if (stage.backupRegion) alertAboutBackups(this, stage, alerts);
    if (stage.costs) new BillGuard(this, 'Bill', stage, stage.costs, alerts);

    const ingest = this.ingest();
    const enrich = this.enrich();
    const mappingId = this.consumeLeads(enrich);
    const deadLetter = this.deadLetter(alerts);
    const janitor = this.janitor(enrich, mappingId);
    const api = this.api();
    this.migrateBefore([ingest, enrich, deadLetter, janitor, api]);

    const http = new HttpApi(this, 'Http', { stage, key: data.key, ingest: ingest.live, operate: api.live });
    if (stage.synthetic) {
      postSynthetic(this, { stage, key: data.key, webhook: data.secrets.webhook, url: `${http.url}leads` });
    }
    if (!stage.emulated) {
      new Observability(this, 'Observability', {
        stage,
        data,
        alerts,
        http,
        functions: { ingest, enrich, deadLetter, janitor, api },
      });
    }
    if (stage.canary) shiftSlowly(this, { stage, key: data.key, functions: { ingest, enrich, api }, http });

    new CfnOutput(this, 'WebhookUrl', { value: `${http.url}leads` });
    new CfnOutput(this, 'ApiUrl', { value: http.url });
    new CfnOutput(this, 'AlertTopicArn', { value: alerts.topicArn });
  }

  /**
   * Outside the VPC and without a database: no failure or slowness there keeps a lead from being accepted.
   */
  private ingest(): RustFunction {
    const { queue, overflow, overflowArn, secrets } = this.data;
    const ingest = this.function('ingest', {
      inVpc: false,
      files: ['sources'],
      reserved: this.stage.reserved?.ingest,
    });
    ingest.maySendTo(queue);
    ingest.may(['s3:PutObject'], `${overflowArn}/*`, { service: 's3', actions: ['kms:GenerateDataKey'] });
    ingest.mayRead(secrets.webhook);
    return ingest.set({
      QUEUE_URL: queue.queueUrl,
      OVERFLOW_BUCKET: overflow.bucketName,
      WEBHOOK_SECRETS_ARN: secrets.webhook.secretArn,
    });
  }

  private enrich(): RustFunction {
    const enrich = this.function('enrich', {
      inVpc: true,
      files: ALL_FILES,
      reserved: this.stage.reserved?.enrich,
      feedsItself: true,
    });
    return this.admitToDatabase(this.admitToDependencies(enrich)).set({
      QUEUE_URL: this.data.queue.queueUrl,
      DLQ_URL: this.data.deadLetters.queueUrl,
    });
  }

  /**
   * Invokes `enrich` with batches; returns the mapping's id, which the janitor uses to pause and resume
   * consumption.
   */
  private consumeLeads(enrich: RustFunction): string {
    const { queue, deadLetters } = this.data;
    const source = new SqsEventSource(queue, {
      batchSize: 10, // the maximum for a FIFO queue, which has no batching window
      reportBatchItemFailures: true,
      maxConcurrency: this.stage.enrich.maxConcurrency,
    });
    enrich.live.addEventSource(source);
    // A deferred lead is sent as a new message, so that waiting uses up no receives; a lead without attempts
    // left is dead-lettered.
    enrich.maySendTo(queue);
    enrich.maySendTo(deadLetters);
    return source.eventSourceMappingId;
  }

  private deadLetter(alerts: sns.Topic): RustFunction {
    const { deadLetters, secrets } = this.data;
    const deadLetter = this.function('dead-letter', { inVpc: true, reserved: this.stage.reserved?.deadLetter });
    deadLetter.live.addEventSource(
      new SqsEventSource(deadLetters, { batchSize: 10, reportBatchItemFailures: true, maxConcurrency: 2 }),
    );
    deadLetter.may(['sns:Publish'], alerts.topicArn, {
      service: 'sns',
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
    });
    if (secrets.alertWebhook) deadLetter.mayRead(secrets.alertWebhook);
    return this.admitToDatabase(deadLetter).set({
      ALERT_TOPIC_ARN: alerts.topicArn,
      ...(secrets.alertWebhook ? { ALERT_WEBHOOK_SECRET_ARN: secrets.alertWebhook.secretArn } : {}),
    });
  }

  private janitor(enrich: RustFunction, mappingId: string): RustFunction {
    const { queue, overflow, overflowArn } = this.data;
    const janitor = this.function('janitor', { inVpc: true, files: ALL_FILES, reserved: this.stage.reserved?.janitor });
    // A failed round is not retried, and one that cannot start is dropped: the next round does the same work.
    janitor.live.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
    janitor.maySendTo(queue);
    janitor.may(['s3:ListBucket'], overflowArn);
    janitor.may(['s3:GetObject', 's3:DeleteObject'], `${overflowArn}/*`, { service: 's3', actions: ['kms:Decrypt'] });
    janitor.role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['lambda:GetEventSourceMapping', 'lambda:UpdateEventSourceMapping'],
        resources: [this.formatArn({ service: 'lambda', resource: `event-source-mapping:${mappingId}` })],
        // Restricts the mapping to this function; a call that only pauses names no function.
        conditions: {
          ArnEqualsIfExists: { 'lambda:FunctionArn': [enrich.function.functionArn, enrich.live.functionArn] },
        },
      }),
    );
    const every = this.stage.janitorEveryMinutes;
    new events.Rule(this, 'JanitorSchedule', {
      ruleName: name(this.stage, 'janitor'),
      description: 'RevenueFlow: probe, resume, reconcile',
      schedule: events.Schedule.rate(Duration.minutes(every)),
      targets: [new targets.LambdaFunction(janitor.live, { retryAttempts: 0, maxEventAge: Duration.minutes(1) })],
    });
    return this.admitToDatabase(this.admitToDependencies(janitor)).set({
      QUEUE_URL: queue.queueUrl,
      OVERFLOW_BUCKET: overflow.bucketName,
      EVENT_SOURCE_MAPPING_ID: mappingId,
    });
  }

  private api(): RustFunction {
    const { queue, secrets } = this.data;
    const api = this.function('api', { inVpc: true, files: ALL_FILES, reserved: this.stage.reserved?.api });
    api.maySendTo(queue);
    api.may(['sqs:GetQueueAttributes'], queue.queueArn);
    api.mayRead(secrets.adminToken);
    api.mayRead(secrets.operators);
    // A replay shows the result of a new judgement, so it calls the same model. A plan shows what would be
    // written, so it reads the same CRM, and a rollback stops the writes to that CRM.
    return this.admitToDatabase(this.admitToCrm(this.admitToAi(api))).set({
      QUEUE_URL: queue.queueUrl,
      ADMIN_TOKEN_ARN: secrets.adminToken.secretArn,
      OPERATORS_ARN: secrets.operators.secretArn,
    });
  }

  /**
   * Migrates the tables before the code that needs them. Runs whenever the function changes, as it does with
   * a migration.
   */
  private migrateBefore(others: RustFunction[]): void {
    const migrate = this.function('migrate', { inVpc: true });
    migrate.set(this.data.database?.admitMaster(migrate) ?? this.databaseUrl());
    const run = new triggers.Trigger(this, 'Migrations', {
      handler: migrate.function,
      timeout: Duration.seconds(TIMEOUT_SECONDS.migrate - 60),
      executeAfter: [migrate],
    });
    providerLog(this, 'AWSCDK.TriggerCustomResourceProviderCustomResourceProvider', this.stage, this.data.key);
    // The versions wait, not the functions: the code behind `live` changes only with its version.
    for (const other of others) run.executeBefore(other.function.currentVersion, other.live);
  }

  private function(
    function_: FunctionName,
    props: Pick<RustFunctionProps, 'inVpc' | 'files' | 'reserved' | 'feedsItself'>,
  ): RustFunction {
    const { stage, data, binaries } = this;
    const id = function_.replace(/(^|-)[a-z]/g, (start) => start.slice(-1).toUpperCase());
    const made = new RustFunction(this, id, { stage, data, binaries, function: function_, ...props });
    intended(made.role, {
      [`IAM5[Resource::${name(stage, 'overflow-arn')}/*]`]:
        'Each overflowed lead is an object of its own in this bucket.',
    });
    return made;
  }

  private admitToDatabase(function_: RustFunction): RustFunction {
    return function_.set(this.data.database?.admitApp(function_.role) ?? this.databaseUrl());
  }

  private databaseUrl(): Record<string, string> {
    const parameter =
      (this.node.tryFindChild('DatabaseUrl') as CfnParameter | undefined) ??
      new CfnParameter(this, 'DatabaseUrl', { noEcho: true, description: 'postgres://...' });
    return { DATABASE_URL: parameter.valueAsString };
  }

  /**
   * Access to the AI, the CRM and the enrichment providers, for `enrich` and for the janitor, which probes
   * them.
   */
  private admitToDependencies(function_: RustFunction): RustFunction {
    const { secrets } = this.data;
    if (secrets.enrichment) function_.mayRead(secrets.enrichment);
    return this.admitToCrm(this.admitToAi(function_)).set({
      ...variables(this.stage.settings ?? {}, 'ENRICHMENT'),
      ENRICHMENT_PROVIDERS: this.stage.enrichment.join(','),
      ...(secrets.enrichment ? { ENRICHMENT_SECRET_ARN: secrets.enrichment.secretArn } : {}),
    });
  }

  private admitToCrm(function_: RustFunction): RustFunction {
    const { secrets } = this.data;
    if (secrets.crm) function_.mayRead(secrets.crm);
    return function_.set({
      ...variables(this.stage.settings ?? {}, 'CRM'),
      CRM_PROVIDER: this.stage.crm,
      ...(secrets.crm ? { CRM_SECRET_ARN: secrets.crm.secretArn } : {}),
    });
  }

  private admitToAi(function_: RustFunction): RustFunction {
    const { ai } = this.stage;
    const { secrets } = this.data;
    if (ai.provider === 'bedrock') this.admitToModel(function_.role, ai.modelId);
    if (secrets.ai) function_.mayRead(secrets.ai);
    return function_.set({
      ...variables(this.stage.settings ?? {}, 'AI'),
      AI_PROVIDER: ai.provider,
      AI_TIMEOUT_SECONDS: String(AI_TIMEOUT_SECONDS),
      ...(ai.provider === 'bedrock' ? { BEDROCK_MODEL_ID: ai.modelId } : {}),
      ...(ai.provider === 'bedrock' && ai.fallback ? { AI_FALLBACK_PROVIDER: ai.fallback } : {}),
      ...(secrets.ai ? { AI_SECRET_ARN: secrets.ai.secretArn } : {}),
    });
  }

  /** One model, and only through its inference profile, which selects the region. */
  private admitToModel(role: iam.Role, modelId: string): void {
    const prefix = PROFILES.find((prefix) => modelId.startsWith(prefix));
    if (!prefix) throw new Error(`${modelId} names no inference profile (${PROFILES.join(', ')})`);
    const model = modelId.slice(prefix.length);
    const profile = this.formatArn({ service: 'bedrock', resource: 'inference-profile', resourceName: modelId });
    const foundation = `arn:${this.partition}:bedrock:*::foundation-model/${model}`;
    role.addToPolicy(new iam.PolicyStatement({ actions: ['bedrock:InvokeModel'], resources: [profile] }));
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['bedrock:InvokeModel'],
        resources: [foundation],
        conditions: { StringEquals: { 'bedrock:InferenceProfileArn': profile } },
      }),
    );
    intended(role, {
      [`IAM5[Resource::${foundation}]`]:
        'One model, in any region that the inference profile selects, and only through the profile.',
    });
  }
}
