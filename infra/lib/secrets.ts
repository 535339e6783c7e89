import { SecretValue, Stack, type RemovalPolicy } from 'aws-cdk-lib';
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
  /** The CRM's variables as one JSON object: `SALESFORCE_*` or `HUBSPOT_*`; undefined where no function reads it. */
  readonly crm: secretsmanager.Secret | undefined;
  /** The enrichment providers' variables as one JSON object; undefined where no function reads it. */
  readonly enrichment: secretsmanager.Secret | undefined;
  /** The variables of an AI with a key of its own as one JSON object: `GEMINI_API_KEY`; undefined where no function reads it. */
  readonly ai: secretsmanager.Secret | undefined;
  /** A Slack-compatible address that dead letters are posted to; undefined where no function reads it. */
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
    // All of them are there and exported in every stage. A provider can then be switched off: an export that the other stack
    // still imports cannot be deleted, and a secret that was retained cannot be made again by its name.
    const optional = (what: string, description: string, atFirst: string, isRead: boolean) => {
      const made = secret(what, description, atFirst);
      Stack.of(this).exportValue(made.secretArn);
      return isRead ? made : undefined;
    };
    const isAskingGemini =
      stage.ai.provider === 'gemini' || (stage.ai.provider === 'bedrock' && stage.ai.fallback !== undefined);
    const isEnriching = stage.enrichment.some((provider) => provider !== 'fixtures');
    this.crm = optional('crm', 'CRM variables, a JSON object', '{}', stage.crm !== 'mock');
    this.enrichment = optional('enrichment', 'Enrichment variables, a JSON object', '{}', isEnriching);
    this.ai = optional('ai', 'AI variables, a JSON object', '{}', isAskingGemini);
    this.alertWebhook = optional(
      'alert-webhook',
      'Address that dead letters are posted to',
      'https://example.invalid/not-set',
      stage.alerts.webhook,
    );
  }
}
