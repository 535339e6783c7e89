import { Duration, Stack, type CfnElement } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';

import type { RustFunction } from './functions.ts';
import { WEBHOOK_PATHS, type HttpApi } from './http.ts';
import { intended } from './nag.ts';
import { METRICS_NAMESPACE, name } from './names.ts';
import { nodeFunction } from './node.ts';
import type { Stage } from './stages.ts';

type Released = 'ingest' | 'enrich' | 'api';
type Watched = Pick<cloudwatch.AlarmProps, 'metric' | 'threshold' | 'alarmDescription'>;

/** The parts of the stack that `shiftSlowly` needs. */
export interface ReleaseProps {
  readonly stage: Stage;
  readonly key: kms.IKey;
  readonly functions: Record<Released, RustFunction>;
  readonly http: HttpApi;
}

const MINUTE = Duration.minutes(1);

/**
 * A new version is invoked once before it gets requests. Then a tenth of the calls goes to it for five
 * minutes, and an alarm rolls it back. Function errors alone would not reveal most faults: `ingest` and `api`
 * answer 503, and `enrich` returns its batches to the queue.
 */
export function shiftSlowly(scope: Construct, { stage, key, functions, http }: ReleaseProps): void {
  const application = new codedeploy.LambdaApplication(scope, 'Releases', {
    applicationName: name(stage, 'releases'),
  });
  const indicators = faultIndicators(stage, functions, http);
  for (const id of ['ingest', 'enrich', 'api'] as const) {
    const { live } = functions[id];
    const alarms = Object.entries({ Errors: failures(functions[id], stage, id), ...indicators[id] }).map(
      ([suffix, props]) =>
        new cloudwatch.Alarm(scope, `${id}Release${suffix}`, {
          ...props,
          alarmName: name(stage, `${id}-release-${suffix.replace(/(?!^)[A-Z]/g, '-$&').toLowerCase()}`),
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
    // The check reads the version from a variable, so it must be updated before the alias moves.
    alias.addResourceDependency(check.node.defaultChild as lambda.CfnFunction);
    // While the old version fails, its alarms stop every deployment, including that of the fix.
    if (stage.atOnce) alias.cfnOptions.updatePolicy = undefined;
    intended(group, {
      'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]':
        "AWS's own narrow role for CodeDeploy on Lambda.",
      [`IAM5[Resource::<${idOf(check)}.Arn>:*]`]: 'Any version of the function that checks the release.',
    });
  }
}

function idOf(function_: lambda.Function): string {
  return Stack.of(function_).getLogicalId(function_.node.defaultChild as CfnElement);
}

/**
 * Errors of the new version only: the alias splits calls between two versions, and the dimension names the
 * executed one.
 */
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
    alarmDescription: 'The new version fails; a release in progress is rolled back.',
  };
}

/** Indicators of a bad version, by function, that are not errors of the function itself. */
function faultIndicators(
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
    alarmDescription: `The new version of enrich: ${kind}; a release in progress is rolled back.`,
  });
  // API Gateway does not distinguish versions: this metric counts the old one too.
  const answers = (routes: [method: string, resource: string][]) => ({
    metric: http.serverErrors(routes, MINUTE),
    threshold: 3,
    alarmDescription: 'Requests are answered with 5xx; a release in progress is rolled back.',
  });
  return {
    ingest: { Answers: answers(WEBHOOK_PATHS.map((path) => ['POST', path])) },
    // Individual leads are dead-lettered on any day, so the threshold is higher.
    enrich: { NotReady: trouble('not_ready', 3), GivenUp: trouble('given_up', 10) },
    api: {
      Answers: answers(
        ['/', '/leads', '/leads/{id}', '/leads/{id}/{proxy+}', '/{proxy+}'].map((resource) => ['ANY', resource]),
      ),
    },
  };
}

/** The function that invokes the new version before its first request: `hook/index.mjs`. */
function checkBefore(scope: Construct, id: Released, stage: Stage, key: kms.IKey, released: RustFunction) {
  const functionName = `CodeDeployHook_${name(stage, id)}`; // AWS's role for CodeDeploy may only invoke this prefix
  const { function: check, role } = nodeFunction(scope, `${id}Check`, {
    stage,
    key,
    functionName,
    description: `RevenueFlow: calls a new version of ${id} before it gets requests`,
    folder: 'hook',
    timeout: Duration.seconds(90), // five refused calls and a cold start of the function
    environment: {
      CHECKED_FUNCTION: id,
      CHECKED_VERSION_ARN: released.function.currentVersion.functionArn,
    },
  });
  const versions = `${released.function.functionArn}:*`;
  role.addToPolicy(new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [versions] }));
  intended(role, {
    [`IAM5[Resource::<${idOf(released.function)}.Arn>:*]`]:
      'Any version of the function that it invokes before the release.',
  });
  return check;
}
