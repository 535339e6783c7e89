import { SecretValue, type RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

import { intended } from './nag.ts';
import type { Stage } from './stages.ts';

/**
 * What the functions must know and nobody else may. Some are made up at the first deployment, the rest are put in by
 * hand once (docs/deploy.md); no later deployment changes any of them.
 */
export class Secrets extends Construct {
  /** What senders of webhooks prove themselves with: several at once, with commas, so that one can be replaced. */
  readonly webhook: secretsmanager.Secret;
  /** The bearer token of operators. */
  readonly adminToken: secretsmanager.Secret;
  /** The CRM's variables as one JSON object: `SALESFORCE_*` or `HUBSPOT_*`. */
  readonly crm: secretsmanager.Secret | undefined;
  /** The enrichment providers' variables as one JSON object. */
  readonly enrichment: secretsmanager.Secret | undefined;
  /** The variables of an AI with a key of its own as one JSON object: `GEMINI_API_KEY`. */
  readonly ai: secretsmanager.Secret | undefined;
  /** A Slack-compatible address that dead letters are posted to. */
  readonly alertWebhook: secretsmanager.Secret | undefined;

  constructor(scope: Construct, stage: Stage, key: kms.IKey, removalPolicy: RemovalPolicy) {
    super(scope, 'Secrets');
    const secret = (what: string, description: string, atFirst?: string) => {
      const secret = new secretsmanager.Secret(this, what, {
        secretName: `revenueflow/${stage.name}/${what}`,
        description,
        encryptionKey: key,
        removalPolicy,
        ...(atFirst === undefined
          ? { generateSecretString: { excludePunctuation: true, passwordLength: 48 } }
          : { secretStringValue: SecretValue.unsafePlainText(atFirst) }), // nothing secret: what stands there at first
      });
      intended(secret, {
        SMG4: 'Shared with a party outside AWS (Marketo, the CRM, an operator), so only a person can rotate it; docs/deploy.md says how, without a gap.',
      });
      return secret;
    };

    // The emulator makes up ones with commas in them.
    const known = (value: string) => (stage.emulated ? value : undefined);
    this.webhook = secret(
      'webhook',
      'Webhook secrets, separated by commas',
      known('local-webhook-secret-for-made-up-leads'),
    );
    this.adminToken = secret(
      'admin-token',
      'Bearer token of the operators',
      known('local-admin-token-for-made-up-leads'),
    );
    this.crm = stage.crm === 'mock' ? undefined : secret('crm', 'CRM variables, a JSON object', '{}');
    this.enrichment = stage.enrichment.every((provider) => provider === 'fixtures')
      ? undefined
      : secret('enrichment', 'Enrichment variables, a JSON object', '{}');
    const asksGemini = stage.ai.provider === 'gemini' || (stage.ai.provider === 'bedrock' && stage.ai.fallback);
    this.ai = asksGemini ? secret('ai', 'AI variables, a JSON object', '{}') : undefined;
    this.alertWebhook = stage.alerts.webhook
      ? secret('alert-webhook', 'Address that dead letters are posted to', 'https://example.invalid/not-set')
      : undefined;
  }
}
