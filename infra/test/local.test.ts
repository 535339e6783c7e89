/**
 * The stage `local` on the emulator at AWS_ENDPOINT_URL (`localstack/with-ministack`), with stubs for the
 * functions.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { aws, endpoint } from './aws.ts';
import { standIns, temporaryFolder } from './binaries.ts';

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

async function get(path: string): Promise<any> {
  const answer = await fetch(`${endpoint}${path}`);
  assert.ok(answer.ok, path);
  return answer.json();
}

test('the local stage deploys to the emulator, and everything is connected', async () => {
  assert.ok(endpoint, 'AWS_ENDPOINT_URL is not set: run with localstack/with-ministack');
  const outputsFile = join(temporaryFolder(), 'outputs.json');
  const said = execFileSync(root('localstack/deploy'), [standIns(), outputsFile], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const webhook = /^POST (http:\S+\/leads)$/m.exec(said)?.[1];
  assert.ok(webhook, said);

  // Each route reaches its function with the path that the function expects.
  const routes = [
    ['POST', '', 'ingest', '/leads'],
    ['POST', '/demo-form', 'ingest', '/leads/demo-form'],
    ['GET', '/abc', 'api', '/leads/abc'],
    ['GET', '', 'api', '/leads'],
    ['GET', '/abc/explain', 'api', '/leads/abc/explain'],
    ['GET', '/../healthz', 'api', '/healthz'],
  ] as const;
  for (const [method, path, name, seen] of routes) {
    const answer: Response = await fetch(`${webhook}${path}`, { method, ...(method === 'POST' ? { body: '{}' } : {}) });
    assert.deepEqual(await answer.json(), { function: `revenueflow-local-${name}`, method, path: seen });
  }

  // A lead on the queue reaches `enrich` through the mapping.
  const outputs = JSON.parse(readFileSync(outputsFile, 'utf8'))['revenueflow-local-data'];
  const QueueUrl: string = outputs.LeadsQueueUrl;
  await aws('sqs', 'AmazonSQS.SendMessage', {
    QueueUrl,
    MessageBody: '{}',
    MessageGroupId: 'a',
    MessageDeduplicationId: 'a',
  });
  const left = async () => {
    const { Attributes } = await aws('sqs', 'AmazonSQS.GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] });
    return Number(Attributes.ApproximateNumberOfMessages) + Number(Attributes.ApproximateNumberOfMessagesNotVisible);
  };
  while ((await left()) > 0) await new Promise((later) => setTimeout(later, 100));

  const { EventSourceMappings: mappings } = await get('/2015-03-31/event-source-mappings/');
  const sources = mappings.map(({ EventSourceArn, FunctionResponseTypes, BatchSize }: any) => [
    EventSourceArn,
    FunctionResponseTypes,
    BatchSize,
  ]);
  assert.deepEqual(sources.sort(), [
    ['arn:aws:sqs:us-east-1:000000000000:revenueflow-local-dead-letters.fifo', ['ReportBatchItemFailures'], 10],
    ['arn:aws:sqs:us-east-1:000000000000:revenueflow-local-leads.fifo', ['ReportBatchItemFailures'], 10],
  ]);

  const { Rules: rules } = await aws('events', 'AWSEvents.ListRules', {});
  const schedule = rules.find(({ ScheduleExpression }: any) => ScheduleExpression === 'rate(1 minute)');
  const { Targets: targets } = await aws('events', 'AWSEvents.ListTargetsByRule', { Rule: schedule.Name });
  assert.match(targets[0].Arn, /:function:revenueflow-local-janitor:live$/);

  for (const name of ['webhook', 'admin-token']) {
    const { SecretString } = await aws('secretsmanager', 'secretsmanager.GetSecretValue', {
      SecretId: `revenueflow/local/${name}`,
    });
    assert.match(SecretString, /^local-[a-z-]+-for-made-up-leads$/);
  }
});
