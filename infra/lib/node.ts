import { RemovalPolicy, type Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { fileURLToPath } from 'node:url';

import { logGroup } from './logs.ts';
import type { Stage } from './stages.ts';

export interface NodeFunctionProps {
  readonly stage: Stage;
  readonly key: kms.IKey;
  readonly functionName: string;
  readonly description: string;
  /**
   * A folder of `infra/` with an `index.mjs`. It has the AWS SDK of Lambda's runtime and no packages of its
   * own.
   */
  readonly folder: string;
  readonly timeout: Duration;
  readonly environment: Record<string, string>;
}

/**
 * A small auxiliary function outside the VPC. Its role may only write its own log until it is granted more.
 */
export function nodeFunction(scope: Construct, id: string, props: NodeFunctionProps) {
  const { stage, key, functionName, description, timeout, environment } = props;
  const log = logGroup(scope, `${id}Log`, stage, key, `/aws/lambda/${functionName}`);
  const role = new iam.Role(scope, `${id}Role`, { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  log.grantWrite(role);
  const made = new lambda.Function(scope, id, {
    functionName,
    description,
    runtime: lambda.Runtime.NODEJS_24_X,
    handler: 'index.handler',
    code: lambda.Code.fromAsset(fileURLToPath(new URL(`../${props.folder}`, import.meta.url)), {
      exclude: ['*.d.mts'],
    }),
    timeout,
    role,
    logGroup: log,
    environment,
    currentVersionOptions: { removalPolicy: RemovalPolicy.RETAIN },
  });
  return { function: made, role };
}
