/**
 * The data stack of the stage `local` on LocalStack (`localstack/with-localstack`), whose CloudFormation and
 * services are stricter than ministack's. The service stack needs functions, which LocalStack runs only in
 * Docker: it is not deployed here.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { aws } from '../aws.ts';
import { standIns, temporaryFolder } from '../binaries.ts';

const infra = fileURLToPath(new URL('../..', import.meta.url));
const folder = temporaryFolder();
const assembly = join(folder, 'assembly');
const STACK = 'revenueflow-local-data';

function cdk(...args: string[]): string {
  const program = join(infra, 'node_modules/.bin/cdk');
  return execFileSync(program, [...args, '--no-notices', '--ci'], { cwd: infra, encoding: 'utf8', stdio: 'pipe' });
}

let outputs: Record<string, string>;

before(() => {
  assert.ok(process.env.LOCALSTACK_LOG, 'no LocalStack of its own: run with localstack/with-localstack');
  cdk('synth', '--quiet', '-c', 'stage=local', '-c', `binaries=${standIns()}`, '-o', assembly);
  cdk('bootstrap', '--app', assembly, 'aws://000000000000/us-east-1');
  const file = join(folder, 'outputs.json');
  cdk('deploy', '--app', assembly, STACK, '--require-approval', 'never', '--method', 'direct', '--outputs-file', file);
  outputs = JSON.parse(readFileSync(file, 'utf8'))[STACK];
});

test('the lead queue is FIFO, encrypted, and has a dead letter queue', async () => {
  const { Attributes: leads } = await aws('sqs', 'AmazonSQS.GetQueueAttributes', {
    QueueUrl: outputs.LeadsQueueUrl,
    AttributeNames: ['All'],
  });
  assert.equal(leads.FifoQueue, 'true');
  assert.equal(leads.FifoThroughputLimit, 'perMessageGroupId');
  assert.equal(leads.MessageRetentionPeriod, String(14 * 24 * 3600));
  assert.match(leads.KmsMasterKeyId, /^arn:aws:kms:/);
  const { Attributes: dead } = await aws('sqs', 'AmazonSQS.GetQueueAttributes', {
    QueueUrl: outputs.DeadLettersQueueUrl,
    AttributeNames: ['All'],
  });
  assert.equal(JSON.parse(leads.RedrivePolicy).deadLetterTargetArn, dead.QueueArn);
  assert.deepEqual(JSON.parse(dead.RedriveAllowPolicy).sourceQueueArns, [leads.QueueArn]);
});

test('a lead passes through the queue once', async () => {
  const QueueUrl = outputs.LeadsQueueUrl;
  const message = { QueueUrl, MessageBody: '{}', MessageGroupId: 'lead', MessageDeduplicationId: 'once' };
  await aws('sqs', 'AmazonSQS.SendMessage', message);
  await aws('sqs', 'AmazonSQS.SendMessage', message);
  const receive = () => aws('sqs', 'AmazonSQS.ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 });
  const { Messages: messages } = await receive();
  assert.equal(messages.length, 1);
  await aws('sqs', 'AmazonSQS.DeleteMessage', { QueueUrl, ReceiptHandle: messages[0].ReceiptHandle });
  assert.deepEqual((await receive()).Messages ?? [], []);
});

test('the secrets have the texts of the local stage', async () => {
  for (const name of ['webhook', 'admin-token']) {
    const { SecretString } = await aws('secretsmanager', 'secretsmanager.GetSecretValue', {
      SecretId: `revenueflow/local/${name}`,
    });
    assert.match(SecretString, /^local-[a-z-]+-for-made-up-leads$/);
  }
});

test('the key rotates', async () => {
  const { Keys: keys } = await aws('kms', 'TrentService.ListKeys', {});
  const rotating = await Promise.all(
    keys.map(({ KeyId }: any) => aws('kms', 'TrentService.GetKeyRotationStatus', { KeyId })),
  );
  assert.ok(rotating.some(({ KeyRotationEnabled }: any) => KeyRotationEnabled));
});

test('a second deployment changes nothing', () => {
  const said = cdk('deploy', '--app', assembly, STACK, '--require-approval', 'never', '--method', 'direct');
  assert.match(said, /no changes/);
});

after(async () => {
  cdk('destroy', '--app', assembly, STACK, '--exclusively', '--force');
  await assert.rejects(
    aws('sqs', 'AmazonSQS.GetQueueAttributes', { QueueUrl: outputs.LeadsQueueUrl, AttributeNames: ['All'] }),
    /NonExistentQueue|QueueDoesNotExist/,
    'a removed stack leaves nothing',
  );
});
