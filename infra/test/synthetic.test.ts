/** The function that posts the synthetic lead, against a webhook that records its requests. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';

import { LEAD, post } from '../synthetic/index.mjs';

interface Received {
  readonly method: string | undefined;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Posts once to a webhook that answers with `status`; returns the requests that it received. */
async function posted(
  secrets: string,
  status = 202,
  headers: Record<string, string> = {},
  now?: Date,
): Promise<Received[]> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push({ method: request.method, headers: request.headers as Record<string, string>, body });
    response.writeHead(status, headers).end('{}');
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  try {
    await post(`http://127.0.0.1:${(server.address() as AddressInfo).port}/leads`, secrets, now);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return received;
}

test('a static token is sent in the token header', async () => {
  const [got] = await posted(' a-token-of-senders , whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ');
  assert.equal(got?.method, 'POST');
  assert.equal(got.headers['x-revenueflow-token'], 'a-token-of-senders');
  assert.equal(got.headers['webhook-signature'], undefined);
  assert.deepEqual({ ...JSON.parse(got.body), posted_at: '' }, { ...LEAD, posted_at: '' });
});

test('the reference implementation accepts the signature', async () => {
  const secret = `whsec_${Buffer.from('a key of senders that has 32 byte').toString('base64')}`;
  const [got] = await posted(`${secret},another-token-of-senders`);
  assert.equal(got?.headers['x-revenueflow-token'], undefined);
  assert.deepEqual(new Webhook(secret).verify(got!.body, got!.headers), JSON.parse(got!.body));
  assert.throws(() => new Webhook(secret).verify(`${got!.body} `, got!.headers));
});

test('two posts differ in content and id', async () => {
  const secret = `whsec_${Buffer.from('a key of senders that has 32 byte').toString('base64')}`;
  const [one, two] = (
    await Promise.all([0, 1].map((millisecond) => posted(secret, 202, {}, new Date(millisecond))))
  ).flat();
  assert.notEqual(one?.body, two?.body);
  assert.notEqual(one?.headers['webhook-id'], two?.headers['webhook-id']);
});

test('an answer other than 202 fails', async () => {
  for (const status of [200, 401, 429, 503]) {
    await assert.rejects(posted('a-token-of-senders', status), new RegExp(`answered ${status}`));
  }
  await assert.rejects(posted('a-token-of-senders', 307, { location: '/elsewhere' }), /fetch failed|redirect/);
});
