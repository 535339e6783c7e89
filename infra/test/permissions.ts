/**
 * The permissions of each function's role in production, one line per action and resource. `log`, `key` and
 * similar words stand for ARNs, which the test resolves. A change of a role must be repeated here and in
 * docs/security.md.
 */
const LOG = [
  'logs:CreateLogStream log',
  'logs:PutLogEvents log',
  'xray:PutTelemetryRecords *',
  'xray:PutTraceSegments *',
];

/** Granted to the role for Lambda itself; denied to the function's code. */
export const ATTACH = [
  'ec2:AssignPrivateIpAddresses *',
  'ec2:CreateNetworkInterface *',
  'ec2:DeleteNetworkInterface *',
  'ec2:DescribeNetworkInterfaces *',
  'ec2:DescribeSubnets *',
  'ec2:UnassignPrivateIpAddresses *',
];

const receive = (queue: string) => [
  `sqs:ChangeMessageVisibility ${queue}`,
  `sqs:DeleteMessage ${queue}`,
  `sqs:GetQueueAttributes ${queue}`,
  `sqs:GetQueueUrl ${queue}`,
  `sqs:ReceiveMessage ${queue}`,
  'kms:Decrypt key',
];
const send = (queue: string) => [`sqs:SendMessage ${queue}`, 'kms:Decrypt key', 'kms:GenerateDataKey key'];
const read = (secret: string) => [`secretsmanager:GetSecretValue ${secret}`, 'kms:Decrypt key'];

const DATABASE = [...ATTACH, 'rds-db:connect revenueflow_app'];
const MODEL = [
  'bedrock:InvokeModel inference-profile/global.anthropic.claude-haiku-5-5',
  'bedrock:InvokeModel foundation-model/anthropic.claude-haiku-5-5',
];
const DEPENDENCIES = [...MODEL, ...read('secret crm'), ...read('secret enrichment')];

export const PERMISSIONS: Record<string, readonly string[]> = {
  ingest: [...LOG, ...send('leads'), 's3:PutObject overflow/*', ...read('secret webhook')],
  enrich: [...LOG, ...DATABASE, ...DEPENDENCIES, ...receive('leads'), ...send('leads'), ...send('dead letters')],
  'dead-letter': [
    ...LOG,
    ...DATABASE,
    ...receive('dead letters'),
    'sns:Publish alerts',
    'kms:GenerateDataKey key',
    ...read('secret alert-webhook'),
  ],
  janitor: [
    ...LOG,
    ...DATABASE,
    ...DEPENDENCIES,
    ...send('leads'),
    's3:ListBucket overflow',
    's3:GetObject overflow/*',
    's3:DeleteObject overflow/*',
    'lambda:GetEventSourceMapping mapping',
    'lambda:UpdateEventSourceMapping mapping',
  ],
  api: [
    ...LOG,
    ...DATABASE,
    ...MODEL,
    ...send('leads'),
    'sqs:GetQueueAttributes leads',
    ...read('secret admin-token'),
    ...read('secret operators'),
    ...read('secret crm'),
  ],
  migrate: [...LOG, ...ATTACH, ...read('secret master')],
};

/** The words above, by the ARN in a template. */
export const RESOURCES: readonly (readonly [RegExp, string])[] = [
  [/^\w+Log\w+\.Arn$/, 'log'],
  [/^FnGetAttKey\w+Arn\w+$/, 'key'],
  [/^FnGetAttLeads\w+Arn\w+$/, 'leads'],
  [/^FnGetAttDeadLetters\w+Arn\w+$/, 'dead letters'],
  [/^revenueflow-prod-overflow-arn/, 'overflow'],
  [/^RefSecretswebhook\w+$/, 'secret webhook'],
  [/^RefSecretsadmintoken\w+$/, 'secret admin-token'],
  [/^RefSecretsoperators\w+$/, 'secret operators'],
  [/^RefSecretscrm\w+$/, 'secret crm'],
  [/^RefSecretsenrichment\w+$/, 'secret enrichment'],
  [/^RefSecretsalertwebhook\w+$/, 'secret alert-webhook'],
  [/^RefDatabaseClusterSecretAttachment\w+$/, 'secret master'],
  [/^arn:aws:rds-db:us-east-1:\{AWS::AccountId\}:dbuser:FnGetAttDatabaseCluster\w+\//, ''],
  [/^arn:aws:bedrock:us-east-1:\{AWS::AccountId\}:/, ''],
  [/^arn:aws:bedrock:\*::/, ''],
  [/^arn:aws:lambda:us-east-1:\{AWS::AccountId\}:event-source-mapping:\{EnrichFunction\w+Leads\w+\}$/, 'mapping'],
  [/^\{Alerts\w+\}$/, 'alerts'],
];
