import { SecretValue, Stack, type RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

import { intended } from './nag.ts';
import type { Stage } from './stages.ts';

/** The initial text: a comment, because a secret cannot be empty. */
const NO_OPERATORS = '# docs/security.md describes this file';

/**
 * The secrets of the functions. The first deployment generates some of them, the others are set by hand once
 * (docs/deploy.md); no later deployment changes any of them.
 */
export class Secrets extends Construct {
  /** The credentials of webhook senders: several, separated by commas, so that one can be rotated. */
  readonly webhook: secretsmanager.Secret;
  /** The bearer token of operators. */
  readonly adminToken: secretsmanager.Secret;
  /** The named operators, in the format of `OPERATORS_FILE`: hashes of their tokens, scopes and expiry. */
  readonly operators: secretsmanager.Secret;
  /**
   * The CRM's variables as a JSON object: `SALESFORCE_*` or `HUBSPOT_*`; undefined if no function reads it.
   */
  readonly crm: secretsmanager.Secret | undefined;
  /** The enrichment providers' variables as a JSON object; undefined if no function reads it. */
  readonly enrichment: secretsmanager.Secret | undefined;
  /**
   * The variables of an AI with an API key as a JSON object: `GEMINI_API_KEY`; undefined if no function reads
   * it.
   */
  readonly ai: secretsmanager.Secret | undefined;
  /** A Slack-compatible URL that receives dead letters; undefined if no function reads it. */
  readonly alertWebhook: secretsmanager.Secret | undefined;

  constructor(scope: Construct, stage: Stage, key: kms.IKey, removalPolicy: RemovalPolicy) {
    super(scope, 'Secrets');
    const secret = (id: string, description: string, initial?: string) => {
      const secret = new secretsmanager.Secret(this, id, {
        secretName: `revenueflow/${stage.name}/${id}`,
        description,
        encryptionKey: key,
        removalPolicy,
        ...(initial === undefined
          ? { generateSecretString: { excludePunctuation: true, passwordLength: 48 } }
          : { secretStringValue: SecretValue.unsafePlainText(initial) }), // not secret: the initial placeholder
      });
      intended(secret, {
        SMG4: 'Shared with a party outside AWS (Marketo, the CRM, an operator), so only a person can rotate it; docs/deploy.md describes a rotation without downtime.',
      });
      return secret;
    };

    // The emulator generates texts that contain commas.
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
    this.operators = secret('operators', 'Named operators, in the format of OPERATORS_FILE', NO_OPERATORS);
    // All of them exist and are exported in every stage, so that a provider can be switched off: an export
    // that the other stack still imports cannot be deleted, and a retained secret's name cannot be reused.
    const optional = (id: string, description: string, initial: string, isRead: boolean) => {
      const made = secret(id, description, initial);
      Stack.of(this).exportValue(made.secretArn);
      return isRead ? made : undefined;
    };
    const usesGemini =
      stage.ai.provider === 'gemini' || (stage.ai.provider === 'bedrock' && stage.ai.fallback !== undefined);
    const usesProviders = stage.enrichment.some((provider) => provider !== 'fixtures');
    this.crm = optional('crm', 'CRM variables, a JSON object', '{}', stage.crm !== 'mock');
    this.enrichment = optional('enrichment', 'Enrichment variables, a JSON object', '{}', usesProviders);
    this.ai = optional('ai', 'AI variables, a JSON object', '{}', usesGemini);
    this.alertWebhook = optional(
      'alert-webhook',
      'Address that dead letters are posted to',
      'https://example.invalid/not-set',
      stage.alerts.webhook,
    );
  }
}
