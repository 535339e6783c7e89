import assert from 'node:assert/strict';

/** The endpoint of the emulator that the test uses. */
export const endpoint = process.env.AWS_ENDPOINT_URL;

/** An AWS call as an emulator accepts it, with an invalid signature, in the emulator's account and region. */
export async function aws(service: string, action: string, input: object): Promise<any> {
  const answer = await fetch(endpoint!, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': action,
      authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(input),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${action}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
