/**
 * Called by CodeDeploy before a new version gets its first request. Invokes that version, checks its answer,
 * and reports whether the release may continue. The calls create no lead: the webhook has a wrong token, and
 * the batch is empty.
 */

const request = (method, path, headers, body) => ({
  resource: path,
  path,
  httpMethod: method,
  headers,
  multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
  queryStringParameters: null,
  multiValueQueryStringParameters: null,
  pathParameters: null,
  stageVariables: null,
  requestContext: {
    resourceId: 'release',
    resourcePath: path,
    httpMethod: method,
    extendedRequestId: 'release',
    requestTime: '01/Jan/2026:00:00:00 +0000',
    path,
    accountId: '000000000000',
    protocol: 'HTTP/1.1',
    stage: 'release',
    domainPrefix: 'release',
    requestTimeEpoch: 1767225600000,
    requestId: 'release',
    identity: { sourceIp: '192.0.2.1', userAgent: 'release' },
    domainName: 'release.invalid',
    apiId: 'release',
  },
  body,
  isBase64Encoded: false,
});

/** The test event of each function, and the check of its answer. */
export const CHECKS = {
  // 401 shows that it has read its secrets. 503 means that it cannot read them.
  ingest: {
    event: request(
      'POST',
      '/leads',
      { 'Content-Type': 'application/json', 'X-RevenueFlow-Token': 'wrong-token-of-a-release' },
      '{}',
    ),
    problem: ({ statusCode }) => (statusCode === 401 ? undefined : `answered ${statusCode} and not 401`),
  },
  // It starts, and answers in the format that the queue's poller understands.
  enrich: {
    event: { Records: [] },
    problem: ({ batchItemFailures }) =>
      Array.isArray(batchItemFailures) && batchItemFailures.length === 0 ? undefined : 'no answer to an empty batch',
  },
  // It reaches the queue and the database, and the database has the schema that it needs.
  api: {
    event: request('GET', '/readyz', { Accept: '*/*' }, null),
    problem: ({ statusCode }) => (statusCode === 200 ? undefined : `/readyz answered ${statusCode}`),
  },
};

/** A new permission takes some seconds to take effect everywhere. */
const MAX_REFUSALS = 5;
const pauseSeconds = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));

/**
 * The problem with a version, or undefined. `invoke` takes an event and returns Lambda's answer to Invoke.
 */
export async function problemOf(name, invoke, pause = pauseSeconds) {
  const { event, problem } = CHECKS[name];
  for (let refusals = 1; ; refusals += 1) {
    try {
      const { FunctionError, Payload } = await invoke(JSON.stringify(event));
      if (FunctionError) return `the function fails: ${FunctionError}`;
      return problem(JSON.parse(Buffer.from(Payload).toString()) ?? {});
    } catch (error) {
      if (error.name !== 'AccessDeniedException' || refusals >= MAX_REFUSALS)
        return `it cannot be called: ${error.name}`;
      await pause(5);
    }
  }
}

export async function handler({ DeploymentId, LifecycleEventHookExecutionId }) {
  const { LambdaClient, InvokeCommand } = await import('@aws-sdk/client-lambda');
  const { CodeDeployClient, PutLifecycleEventHookExecutionStatusCommand } = await import('@aws-sdk/client-codedeploy');
  const lambda = new LambdaClient({});
  const { CHECKED_FUNCTION, CHECKED_VERSION_ARN } = process.env;
  const problem = await problemOf(CHECKED_FUNCTION, (Payload) =>
    lambda.send(new InvokeCommand({ FunctionName: CHECKED_VERSION_ARN, Payload })),
  );
  console.log(
    JSON.stringify({ message: 'new version checked', version: CHECKED_VERSION_ARN, problem: problem ?? null }),
  );
  await new CodeDeployClient({}).send(
    new PutLifecycleEventHookExecutionStatusCommand({
      deploymentId: DeploymentId,
      lifecycleEventHookExecutionId: LifecycleEventHookExecutionId,
      status: problem ? 'Failed' : 'Succeeded',
    }),
  );
}
