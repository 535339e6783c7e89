import { ArnFormat, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as logs from 'aws-cdk-lib/aws-logs';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

import { codeFolder } from './code.ts';
import type { DataStack } from './data.ts';
import { logGroup } from './logs.ts';
import { intended } from './nag.ts';
import { METRICS_NAMESPACE, TIMEOUT_SECONDS, name, type FunctionName } from './names.ts';
import type { Files } from './settings.ts';
import type { Stage } from './stages.ts';

export interface RustFunctionProps {
  readonly stage: Stage;
  readonly data: DataStack;
  readonly function: FunctionName;
  /** A folder with one subfolder per function, each with its `bootstrap`. */
  readonly binaries: string;
  /** Whether the function reaches the database and therefore runs in the VPC. */
  readonly inVpc: boolean;
  /** The stage's files that the function reads. */
  readonly files?: readonly (keyof Files)[];
  readonly reserved?: number;
  /**
   * Whether the function sends to the queue that invokes it. Lambda treats this as a runaway loop after about
   * 16 rounds and drops the message, unless the function allows it; a lead that waits for a dependency needs
   * more rounds.
   */
  readonly feedsItself?: boolean;
}

type KeyUse = 'kms:Decrypt' | 'kms:GenerateDataKey';

/**
 * A function: its binary, a role that may only write its own log until it is granted more, and the alias
 * `live`. All callers use the alias, so that traffic can shift to a new version gradually and an old version
 * is one step away.
 */
export class RustFunction extends Construct {
  readonly function: lambda.Function;
  readonly live: lambda.Alias;
  readonly role: iam.Role;
  readonly log: logs.LogGroup;
  private readonly keyArn: string;

  constructor(scope: Construct, id: string, props: RustFunctionProps) {
    super(scope, id);
    const { stage, data } = props;
    this.keyArn = data.key.keyArn;
    const functionName = name(stage, props.function);
    const network = props.inVpc ? data.network : undefined;
    const code = codeFolder(props.binaries, props.function, stage, props.files ?? []);

    this.log = logGroup(this, 'Log', stage, data.key, `/aws/lambda/${functionName}`);
    this.role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: `The function ${functionName}`,
    });
    this.log.grantWrite(this.role);
    if (network) this.allowLambdaToAttach(functionName);

    this.function = new lambda.Function(this, 'Function', {
      functionName,
      description: `RevenueFlow: ${props.function}`,
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: stage.architecture === 'arm64' ? lambda.Architecture.ARM_64 : lambda.Architecture.X86_64,
      handler: 'bootstrap',
      code: lambda.Code.fromAsset(code.folder, { exclude: ['*', ...code.names.map((name) => `!${name}`)] }),
      memorySize: 512, // the function uses 8 MB; more memory brings CPU for the TLS handshakes of a cold start
      timeout: Duration.seconds(TIMEOUT_SECONDS[props.function]),
      role: this.role,
      logGroup: this.log,
      reservedConcurrentExecutions: props.reserved,
      tracing: lambda.Tracing.ACTIVE,
      recursiveLoop: props.feedsItself ? lambda.RecursiveLoop.ALLOW : undefined,
      ...(network
        ? {
            vpc: network.vpc,
            vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
            securityGroups: [network.functions],
          }
        : {}),
      environment: {
        STAGE: stage.name,
        LOG_FORMAT: 'json',
        RUST_LOG: 'info',
        METRICS_NAMESPACE,
        ...code.variables,
        AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH: 'true', // paths are the same with and without API Gateway's stage
      },
      currentVersionOptions: { removalPolicy: stage.emulated ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN },
    });
    this.live = this.function.addAlias('live');
    intended(this.role, {
      'IAM5[Resource::*]':
        "Lambda sends traces and attaches functions to a VPC with the function's role; these calls support no resource, and attaching is denied to the function's own code.",
    });
  }

  set(variables: Record<string, string>): this {
    for (const [variable, value] of Object.entries(variables)) this.function.addEnvironment(variable, value);
    return this;
  }

  /** Grants the function actions on a resource, and the use of the stage's key through the service. */
  may(
    actions: string[],
    resource: string,
    key?: { service: 'sqs' | 's3' | 'secretsmanager' | 'sns'; actions: KeyUse[] },
  ): void {
    this.role.addToPolicy(new iam.PolicyStatement({ actions, resources: [resource] }));
    if (!key) return;
    this.role.addToPolicy(
      new iam.PolicyStatement({
        actions: key.actions,
        resources: [this.keyArn],
        conditions: { StringEquals: { 'kms:ViaService': `${key.service}.${Stack.of(this).region}.amazonaws.com` } },
      }),
    );
  }

  mayRead(secret: secretsmanager.ISecret): void {
    this.may(['secretsmanager:GetSecretValue'], secret.secretArn, {
      service: 'secretsmanager',
      actions: ['kms:Decrypt'],
    });
  }

  maySendTo(queue: sqs.IQueue): void {
    this.may(['sqs:SendMessage'], queue.queueArn, { service: 'sqs', actions: ['kms:Decrypt', 'kms:GenerateDataKey'] });
  }

  /**
   * Lambda needs these permissions in the role to attach the function to the VPC; code in the function is
   * denied them.
   */
  private allowLambdaToAttach(functionName: string): void {
    const actions = [
      'ec2:CreateNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:DeleteNetworkInterface',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
    ];
    const functionArn = Stack.of(this).formatArn({
      service: 'lambda',
      resource: 'function',
      resourceName: functionName,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    this.role.addToPolicy(new iam.PolicyStatement({ actions, resources: ['*'] }));
    this.role.addToPolicy(
      new iam.PolicyStatement({
        effect: iam.Effect.DENY,
        actions,
        resources: ['*'],
        conditions: { ArnEquals: { 'lambda:SourceFunctionArn': functionArn } },
      }),
    );
  }
}
