/**
 * Called by a schedule: posts the synthetic lead to the webhook's address, with the secret that senders have. One post is one
 * try, since the next one follows in minutes, and the alarm on the lead's time allows for a lost one.
 */
import { createHmac, randomUUID } from 'node:crypto';

/** The mark of the synthetic lead, as `shared/lead/src/synthetic.rs` has it. */
export const LEAD = {
  email: 'synthetic-lead@revenueflow.invalid',
  campaign_id: 'revenueflow-synthetic-lead',
};

/** API Gateway gives up after 29 seconds. */
const TIMEOUT_MS = 29_000;
const SIGNING_PREFIX = 'whsec_';

/** The headers that prove a body by the first of the secrets: a Standard Webhooks signature, or the token as it is. */
function proof(secrets, body, now) {
  const secret = secrets.split(',')[0].trim();
  if (!secret.startsWith(SIGNING_PREFIX)) return { 'x-revenueflow-token': secret };
  const id = `msg_${randomUUID()}`;
  const timestamp = String(Math.floor(now.getTime() / 1_000));
  const key = Buffer.from(secret.slice(SIGNING_PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/** Posts the lead; the time in its body makes each post other content than the one before. Fails unless it is accepted. */
export async function post(url, secrets, now = new Date()) {
  const body = JSON.stringify({ ...LEAD, posted_at: now.toISOString() });
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...proof(secrets, body, now) },
    body,
    redirect: 'error', // a secret goes to one address only
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await answer.body?.cancel();
  if (answer.status !== 202) throw new Error(`the webhook answered ${answer.status}`);
}

export async function handler() {
  const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
  const { WEBHOOK_URL, WEBHOOK_SECRETS_ARN: SecretId } = process.env;
  // Read each time, so that a rotated secret needs no second look.
  const { SecretString } = await new SecretsManagerClient({}).send(new GetSecretValueCommand({ SecretId }));
  await post(WEBHOOK_URL, SecretString);
  console.log(JSON.stringify({ message: 'synthetic lead posted' }));
}
