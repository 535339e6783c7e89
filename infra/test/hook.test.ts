/** The check that CodeDeploy runs on a new version before its first request. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { CHECKS, problemOf } from '../hook/index.mjs';

const answers = (answer: unknown) => async () => ({ Payload: Buffer.from(JSON.stringify(answer)) });

test('a version with the expected answers may be released', async () => {
  assert.equal(await problemOf('ingest', answers({ statusCode: 401 })), undefined);
  assert.equal(await problemOf('enrich', answers({ batchItemFailures: [] })), undefined);
  assert.equal(await problemOf('api', answers({ statusCode: 200 })), undefined);
});

test('a version that cannot work is not released', async () => {
  assert.equal(await problemOf('ingest', answers({ statusCode: 503 })), 'answered 503 and not 401');
  assert.equal(await problemOf('ingest', answers({ statusCode: 202 })), 'answered 202 and not 401');
  assert.equal(await problemOf('enrich', answers(null)), 'no answer to an empty batch');
  assert.equal(await problemOf('api', answers({ statusCode: 503 })), '/readyz answered 503');
});

test('a version that fails or cannot be called is not released', async () => {
  const failed = async () => ({ FunctionError: 'Unhandled', Payload: Buffer.from('{}') });
  assert.equal(await problemOf('enrich', failed), 'the function fails: Unhandled');
  let calls = 0;
  const refused = () => {
    calls += 1;
    return Promise.reject(Object.assign(new Error('no'), { name: 'AccessDeniedException' }));
  };
  assert.equal(await problemOf('api', refused, async () => {}), 'it cannot be called: AccessDeniedException');
  assert.equal(calls, 5, 'a new permission takes effect with a delay');
});

test('its requests have the shape that API Gateway sends', () => {
  const sample = JSON.parse(readFileSync(new URL('../../events/ingest-rest.json', import.meta.url), 'utf8'));
  for (const { event } of [CHECKS.ingest, CHECKS.api]) {
    assert.deepEqual(Object.keys(event).sort(), Object.keys(sample).sort());
    assert.deepEqual(Object.keys(event.requestContext).sort(), Object.keys(sample.requestContext).sort());
  }
});
