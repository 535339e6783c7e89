import { Duration, Stack, type CfnElement } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

import type { RustFunction } from './functions.ts';
import type { HttpApi } from './http.ts';
import { intended } from './nag.ts';
import { METRICS_NAMESPACE, name } from './names.ts';
import { nodeFunction } from './node.ts';
import type { Stage } from './stages.ts';

type Released = 'ingest' | 'enrich' | 'api';
type Watched = Pick<cloudwatch.AlarmProps, 'metric' | 'threshold' | 'alarmDescription'>;

/** What `shiftSlowly` needs of the stack. */
export interface ReleaseProps {
  readonly stage: Stage;
  readonly key: kms.IKey;
  readonly functions: Record<Released, RustFunction>;
  readonly http: HttpApi;
}

const MINUTE = Duration.minutes(1);

/**
 * A new version is called once before it gets requests. Then a tenth of the calls go to it for five minutes; an alarm turns all
 * of them back. A function that fails is the least of it: `ingest` and `api` then answer 503, and `enrich` hands its
 * batches back.
 */
export function shiftSlowly(scope: Construct, { stage, key, functions, http }: ReleaseProps): void {
  const application = new codedeploy.LambdaApplication(scope, 'Releases', {
    applicationName: name(stage, 'releases'),
  });
  const signs = signsOfTrouble(stage, functions, http);
  for (const id of ['ingest', 'enrich', 'api'] as const) {
    const { live } = functions[id];
    const alarms = Object.entries({ Errors: failures(functions[id], stage, id), ...signs[id] }).map(
      ([what, props]) =>
        new cloudwatch.Alarm(scope, `${id}Release${what}`, {
          ...props,
          alarmName: name(stage, `${id}-release-${what.replace(/(?!^)[A-Z]/g, '-$&').toLowerCase()}`),
          evaluationPeriods: 1,
          comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
          treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        }),
    );
    const check = checkBefore(scope, id, stage, key, functions[id]);
    const group = new codedeploy.LambdaDeploymentGroup(scope, `${id}Release`, {
      application,
      alias: live,
      deploymentConfig: codedeploy.LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES,
      alarms,
      preHook: check,
    });
    const alias = live.node.defaultChild as lambda.CfnAlias;
    // The check knows the version by a variable, so it has to be up to date before the alias moves.
    alias.addResourceDependency(check.node.defaultChild as lambda.CfnFunction);
    // While the old version fails its alarms stop every deployment, that of the fix too.
    if (stage.atOnce) alias.cfnOptions.updatePolicy = undefined;
    intended(group, {
      'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]':
        "AWS's own narrow role for CodeDeploy on Lambda.",
      [`IAM5[Resource::<${idOf(check)}.Arn>:*]`]: 'Any version of the one function that checks the release.',
    });
  }
}

function idOf(function_: lambda.Function): string {
  return Stack.of(function_).getLogicalId(function_.node.defaultChild as CfnElement);
}

/** Errors of the new version alone: of the two that an alias is split between, the dimension names the one that ran. */
function failures(released: RustFunction, stage: Stage, id: Released): Watched {
  return {
    metric: new cloudwatch.Metric({
      namespace: 'AWS/Lambda',
      metricName: 'Errors',
      dimensionsMap: {
        FunctionName: name(stage, id),
        Resource: `${name(stage, id)}:live`,
        ExecutedVersion: released.function.currentVersion.version,
      },
      statistic: 'sum',
      period: MINUTE,
    }),
    threshold: 3,
    alarmDescription: 'The new version fails; a release under way is turned back.',
  };
}

/** By function, what shows a bad version and is no error of the function. */
function signsOfTrouble(
  stage: Stage,
  functions: ReleaseProps['functions'],
  http: HttpApi,
): Record<Released, Record<string, Watched>> {
  const version = functions.enrich.function.currentVersion.version;
  const trouble = (kind: string, threshold: number) => ({
    metric: new cloudwatch.Metric({
      namespace: METRICS_NAMESPACE,
      metricName: 'revenueflow_release_trouble_total',
      dimensionsMap: { stage: stage.name, kind, version },
      statistic: 'sum',
      period: MINUTE,
    }),
    threshold,
    alarmDescription: `The new version of enrich: ${kind}; a release under way is turned back.`,
  });
  // API Gateway cannot tell versions apart: this counts the old one too.
  const answers = (routes: [method: string, resource: string][]) => ({
    metric: http.answersOfOurFault(routes, MINUTE),
    threshold: 3,
    alarmDescription: 'Requests are answered with 5xx; a release under way is turned back.',
  });
  return {
    ingest: { Answers: answers([['POST', '/leads']]) },
    // Single leads are given up on any day.
    enrich: { NotReady: trouble('not_ready', 3), GivenUp: trouble('given_up', 10) },
    api: {
      Answers: answers(['/', '/leads', '/leads/{proxy+}', '/{proxy+}'].map((resource) => ['ANY', resource])),
    },
  };
}

/** The function that calls the new version before its first request: `hook/index.mjs`. */
function checkBefore(scope: Construct, id: Released, stage: Stage, key: kms.IKey, released: RustFunction) {
  const functionName = `CodeDeployHook_${name(stage, id)}`; // the prefix is what AWS's role for CodeDeploy may call
  const { function: check, role } = nodeFunction(scope, `${id}Check`, {
    stage,
    key,
    functionName,
    description: `RevenueFlow: calls a new version of ${id} before it gets requests`,
    folder: 'hook',
    timeout: Duration.seconds(90), // five refusals, and a cold start of the function
    environment: {
      CHECKED_FUNCTION: id,
      CHECKED_VERSION_ARN: released.function.currentVersion.functionArn,
    },
  });
  const versions = `${released.function.functionArn}:*`;
  role.addToPolicy(new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [versions] }));
  intended(role, {
    [`IAM5[Resource::<${idOf(released.function)}.Arn>:*]`]:
      'Any version of the one function, which it calls before its release.',
  });
  return check;
}
