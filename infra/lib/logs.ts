import { RemovalPolicy, type CfnResource, type Stack } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

import type { Stage } from './stages.ts';

/**
 * A log group with the stage's key and retention. A named group replaces the one that a service would create
 * with its first line, unencrypted and without expiry, so it must exist before that service writes.
 */
export function logGroup(
  scope: Construct,
  id: string,
  stage: Stage,
  key: kms.IKey,
  logGroupName?: string,
): logs.LogGroup {
  return new logs.LogGroup(scope, id, {
    logGroupName,
    encryptionKey: key,
    retention: stage.logDays,
    removalPolicy: RemovalPolicy.DESTROY,
  });
}

/** The same, for a function that CDK adds to a stack for its own purposes. */
export function providerLog(stack: Stack, provider: string, stage: Stage, key: kms.IKey): void {
  const handler = stack.node.findChild(provider).node.findChild('Handler') as CfnResource;
  const group = logGroup(stack, `${provider.replace(/\W/g, '')}Log`, stage, key);
  handler.addPropertyOverride('LoggingConfig', { LogGroup: group.logGroupName });
}
