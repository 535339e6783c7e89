/**
 * Called on a schedule: posts the synthetic lead to the webhook URL with the senders' secret. A failed post
 * is not retried: the next one follows within minutes, and the alarm on the lead's time tolerates a lost one.
 */
import { createHmac, randomUUID } from 'node:crypto';

/** The identity of the synthetic lead, as in `shared/lead/src/synthetic.rs`. */
export const LEAD = {
  email: 'synthetic-lead@revenueflow.invalid',
  campaign_id: 'revenueflow-synthetic-lead',
};

/** API Gateway times out after 29 seconds. */
const TIMEOUT_MS = 29_000;
const SIGNING_PREFIX = 'whsec_';

/**
 * The authentication headers for a body by the first secret: a Standard Webhooks signature, or the plain
 * token.
 */
function proof(secrets, body, now) {
  const secret = secrets.split(',')[0].trim();
  if (!secret.startsWith(SIGNING_PREFIX)) return { 'x-revenueflow-token': secret };
  const id = `msg_${randomUUID()}`;
  const timestamp = String(Math.floor(now.getTime() / 1_000));
  const key = Buffer.from(secret.slice(SIGNING_PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/**
 * Posts the lead. The time in its body makes the content of each post unique. Throws unless the answer is
 * 202.
 */
export async function post(url, secrets, now = new Date()) {
  const body = JSON.stringify({ ...LEAD, posted_at: now.toISOString() });
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...proof(secrets, body, now) },
    body,
    redirect: 'error', // the secret must not be sent to another address
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await answer.body?.cancel();
  if (answer.status !== 202) throw new Error(`the webhook answered ${answer.status}`);
}

export async function handler() {
  const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
  const { WEBHOOK_URL, WEBHOOK_SECRETS_ARN: SecretId } = process.env;
  // Read for each post, so that a rotated secret takes effect at once.
  const { SecretString } = await new SecretsManagerClient({}).send(new GetSecretValueCommand({ SecretId }));
  await post(WEBHOOK_URL, SecretString);
  console.log(JSON.stringify({ message: 'synthetic lead posted' }));
}
