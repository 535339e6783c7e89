/** The statements of docs/security.md. */
import { Match } from 'aws-cdk-lib/assertions';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { FUNCTIONS } from '../../lib/names.ts';
import { ATTACH, PERMISSIONS, RESOURCES } from '../permissions.ts';
import { Synthesized, render } from '../stacks.ts';
import { dev, everywhere, having, inAws, only, prod, staging, statementsOf, variables, type Checks } from './common.ts';

/** Headers in which senders and operators prove themselves. */
const CREDENTIAL_HEADERS = [
  'x-revenueflow-token',
  'webhook-signature',
  'svix-signature',
  'authorization',
  'x-signature',
  'x-hub-signature-256',
  'x-hubspot-signature-v3',
  'typeform-signature',
  'calendly-webhook-signature',
  'x-webflow-signature',
];

export const security: Checks = {
  S1() {
    for (const stage of inAws) {
      const { Properties } = only(stage.of('AWS::ApiGateway::RestApi'));
      assert.equal(Properties.SecurityPolicy, 'SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09');
      assert.equal(Properties.EndpointAccessMode, 'STRICT');
      assert.deepEqual(Properties.EndpointConfiguration.Types, ['REGIONAL']);
    }
  },

  S2() {
    for (const stage of inAws) {
      const ingest = stage.function('ingest');
      assert.equal(ingest.Properties.VpcConfig, undefined);
      assert.deepEqual(
        Object.keys(variables(ingest)).filter((name) => name.startsWith('DATABASE')),
        [],
      );
      assert.deepEqual(
        stage.permissions('ingest').filter((allowed) => /^(rds|rds-db|ec2):/.test(allowed)),
        [],
      );
    }
  },

  S3() {
    for (const stage of inAws) {
      const groups = Object.entries(stage.resources()).filter(([, { Type }]) => Type === 'AWS::EC2::SecurityGroup');
      const [id, functions] = only(groups.filter(([id]) => id.startsWith('NetworkFunctions')));
      const out = functions.Properties.SecurityGroupEgress.map(
        (rule: any) => `${rule.CidrIp}:${rule.FromPort}-${rule.ToPort}`,
      );
      assert.deepEqual(out, ['0.0.0.0/0:443-443']);
      const toOthers = only(stage.of('AWS::EC2::SecurityGroupEgress'));
      assert.equal(toOthers.Properties.FromPort, 5432);
      assert.match(render(toOthers.Properties.DestinationSecurityGroupId), /NetworkDatabase/);
      assert.equal(functions.Properties.SecurityGroupIngress, undefined);
      const into = stage.of('AWS::EC2::SecurityGroupIngress').map(({ Properties }) => render(Properties.GroupId));
      assert.ok(
        into.every((group) => group.startsWith('NetworkDatabase')),
        into.join(),
      );

      for (const name of FUNCTIONS.filter((name) => name !== 'ingest')) {
        const { SecurityGroupIds, SubnetIds } = stage.function(name).Properties.VpcConfig;
        assert.match(render(SecurityGroupIds), new RegExp(id));
        assert.equal(SubnetIds.length, 2);
        for (const subnet of SubnetIds) assert.match(render(subnet), /functionsSubnet\d/);
      }
      for (const [name, { Type, Properties }] of Object.entries(stage.resources())) {
        if (Type === 'AWS::EC2::Subnet') assert.equal(Properties.MapPublicIpOnLaunch, false, name);
      }
    }
  },

  S4() {
    for (const stage of inAws) {
      for (const instance of stage.of('AWS::RDS::DBInstance'))
        assert.equal(instance.Properties.PubliclyAccessible, false);
      const { SubnetIds } = only(stage.of('AWS::RDS::DBSubnetGroup')).Properties;
      for (const subnet of SubnetIds) assert.match(render(subnet), /databaseSubnet\d/);
      for (const [id, { Type }] of Object.entries(stage.resources())) {
        if (Type === 'AWS::EC2::Route') assert.doesNotMatch(id, /databaseSubnet/);
      }
      const from = stage
        .of('AWS::EC2::SecurityGroupIngress')
        .map(({ Properties }) => render(Properties.SourceSecurityGroupId));
      assert.equal(from.length, 2);
      assert.ok(from.some((group) => group.startsWith('NetworkFunctions')));
      assert.ok(from.some((group) => group.includes('RotationSingleUser')));
      assert.equal(only(stage.of('AWS::RDS::DBClusterParameterGroup')).Properties.Parameters['rds.force_ssl'], '1');
    }
  },

  S5() {
    for (const stage of inAws) {
      stage.data.hasResourceProperties('AWS::RDS::DBClusterParameterGroup', {
        Parameters: Match.objectLike({
          log_error_verbosity: 'terse',
          log_statement: 'none',
          log_min_error_statement: 'panic',
          log_min_duration_statement: '-1',
        }),
      });
    }
  },

  S6() {
    for (const stage of inAws) {
      assert.equal(only(stage.of('AWS::RDS::DBCluster')).Properties.EnableIAMDatabaseAuthentication, true);
      for (const name of ['enrich', 'dead-letter', 'janitor', 'api']) {
        const given = variables(stage.function(name));
        assert.equal(given.DATABASE_IAM_AUTH, 'true');
        assert.equal(given.DATABASE_USER, 'revenueflow_app');
        assert.equal(given.DATABASE_SECRET_ARN, undefined);
      }
      const readers = FUNCTIONS.filter((name) =>
        stage.permissions(name).some((allowed) => /DatabaseClusterSecret/.test(allowed)),
      );
      assert.deepEqual(readers, ['migrate']);
    }
    // roles.test.ts tests the role's permissions on PostgreSQL. The Data API treats `:word` as a parameter.
    assert.doesNotMatch(readFileSync(new URL('../../lib/roles.sql', import.meta.url), 'utf8'), /:\w/);
  },

  S7() {
    for (const stage of inAws) {
      stage.data.hasResourceProperties('AWS::SecretsManager::RotationSchedule', {
        SecretId: Match.objectLike({ Ref: Match.stringLikeRegexp('DatabaseClusterSecretAttachment') }),
        RotationRules: { ScheduleExpression: 'rate(30 days)' },
      });
    }
  },

  S8() {
    const read = (name: string) =>
      prod
        .permissions(name)
        .filter((allowed) => allowed.startsWith('secretsmanager:'))
        .map((allowed) => allowed.replace(/^.* Ref(Secrets|Database)(\D+?)[0-9A-F]{6,}.*$/, '$2'))
        .sort();
    assert.deepEqual(read('ingest'), ['webhook']);
    assert.deepEqual(read('enrich'), ['crm', 'enrichment']);
    assert.deepEqual(read('janitor'), ['crm', 'enrichment']);
    assert.deepEqual(read('dead-letter'), ['alertwebhook']);
    assert.deepEqual(read('api'), ['admintoken', 'crm', 'operators']);
    assert.deepEqual(read('migrate'), ['ClusterSecretAttachment']);
  },

  S9() {
    for (const name of FUNCTIONS) {
      const allowed = prod.permissions(name).map((line) => {
        const [action, arn] = line.split(' ', 2) as [string, string];
        const resource = RESOURCES.reduce((arn, [pattern, word]) => arn.replace(pattern, word), arn);
        return `${action} ${resource}`;
      });
      assert.deepEqual([...new Set(allowed)].sort(), [...new Set(PERMISSIONS[name])].sort(), name);
    }
    for (const stage of inAws) {
      for (const name of FUNCTIONS) {
        const role = stage.service.toJSON().Resources[stage.function(name).Properties.Role['Fn::GetAtt'][0]];
        assert.equal(role.Properties.ManagedPolicyArns, undefined);
        assert.equal(role.Properties.Policies, undefined);
      }
    }
  },

  S10() {
    for (const stage of inAws) {
      for (const name of FUNCTIONS.filter((name) => name !== 'ingest')) {
        const role = stage.function(name).Properties.Role['Fn::GetAtt'][0];
        const denied = stage
          .of('AWS::IAM::Policy')
          .filter(({ Properties }) => Properties.Roles.some((attached: any) => attached.Ref === role))
          .flatMap(statementsOf)
          .filter(({ Effect }) => Effect === 'Deny');
        const { Action, Condition } = only(denied);
        assert.deepEqual(
          Action.map((action: string) => `${action} *`),
          ATTACH,
        );
        const arn = render(Condition.ArnEquals['lambda:SourceFunctionArn']);
        assert.ok(arn.endsWith(`:function:revenueflow-${stage.stage.name}-${name}`), arn);
      }
    }
  },

  S11() {
    for (const stage of inAws) {
      assert.equal(only(stage.of('AWS::KMS::Key')).Properties.EnableKeyRotation, true);
      const keys: Record<string, (properties: any) => unknown> = {
        'AWS::SQS::Queue': ({ KmsMasterKeyId }) => KmsMasterKeyId,
        'AWS::S3::Bucket': ({ BucketEncryption }) =>
          BucketEncryption.ServerSideEncryptionConfiguration[0].ServerSideEncryptionByDefault.KMSMasterKeyID,
        'AWS::RDS::DBCluster': ({ KmsKeyId, StorageEncrypted }) => StorageEncrypted && KmsKeyId,
        'AWS::SecretsManager::Secret': ({ KmsKeyId }) => KmsKeyId,
        'AWS::SNS::Topic': ({ KmsMasterKeyId }) => KmsMasterKeyId,
        'AWS::Logs::LogGroup': ({ KmsKeyId }) => KmsKeyId,
      };
      for (const [type, key] of Object.entries(keys)) {
        for (const { Properties } of stage.of(type)) assert.match(render(key(Properties)), /Key\w+\.?Arn/, type);
      }
    }
  },

  S12() {
    for (const stage of inAws) {
      const policies = ['AWS::SQS::QueuePolicy', 'AWS::S3::BucketPolicy', 'AWS::SNS::TopicPolicy'].flatMap((type) =>
        stage.of(type),
      );
      assert.equal(policies.length, 4);
      for (const policy of policies) {
        const denied = statementsOf(policy).filter(
          ({ Effect, Condition }) => Effect === 'Deny' && Condition?.Bool?.['aws:SecureTransport'] === 'false',
        );
        assert.equal(denied.length, 1);
        assert.equal(denied[0].Principal.AWS ?? denied[0].Principal, '*');
      }
    }
  },

  S13() {
    for (const stage of everywhere) {
      const { Properties } = only(stage.of('AWS::S3::Bucket'));
      assert.deepEqual(new Set(Object.values(Properties.PublicAccessBlockConfiguration)), new Set([true]));
      assert.equal(Object.keys(Properties.PublicAccessBlockConfiguration).length, 4);
      assert.equal(Properties.VersioningConfiguration.Status, 'Enabled');
      const rules: any[] = Properties.LifecycleConfiguration.Rules;
      assert.equal(
        only(rules.filter((rule) => rule.NoncurrentVersionExpiration)).NoncurrentVersionExpiration.NoncurrentDays,
        14,
      );
      const expiring = only(rules.filter((rule) => rule.ExpirationInDays));
      assert.deepEqual([expiring.Prefix, expiring.ExpirationInDays], ['quarantine/', 30]);
    }
  },

  S14() {
    for (const stage of inAws) {
      const { Rules, DefaultAction } = only(stage.of('AWS::WAFv2::WebACL')).Properties;
      assert.deepEqual(DefaultAction, { Allow: {} });
      const [rate, unproven, ...groups] = Rules;
      assert.deepEqual([rate.Action, unproven.Action], [{ Block: {} }, { Block: {} }]);
      const { perAddress, ingest } = stage.stage.http;
      assert.equal(rate.Statement.RateBasedStatement.Limit, perAddress);
      const { EvaluationWindowSec, AggregateKeyType, Limit, ScopeDownStatement } =
        unproven.Statement.RateBasedStatement;
      assert.deepEqual([EvaluationWindowSec, AggregateKeyType, Limit], [300, 'IP', 100]);
      // One address can use less than half of the throttle, so that it stops no other sender.
      assert.ok(perAddress < (ingest.perSecond * EvaluationWindowSec) / 2);
      // Only requests without any header with a proof of the sender or of the operator.
      const names = ScopeDownStatement.NotStatement.Statement.OrStatement.Statements.map(
        ({ SizeConstraintStatement: { FieldToMatch, ComparisonOperator, Size } }: any) => {
          assert.deepEqual([ComparisonOperator, Size], ['GT', 0]);
          return FieldToMatch.SingleHeader.Name;
        },
      );
      assert.deepEqual(names, [...CREDENTIAL_HEADERS]);
      assert.ok(groups.some((rule: any) => rule.Name === 'AWSManagedRulesAmazonIpReputationList'));
      const counted = [...having(groups, 'ActionToUse')].map((override) => {
        assert.deepEqual(override.ActionToUse, { Count: {} });
        return override.Name;
      });
      // All rules about bodies in these groups.
      assert.deepEqual(counted.filter((name) => name.endsWith('_BODY')).sort(), [
        'CrossSiteScripting_BODY',
        'EC2MetaDataSSRF_BODY',
        'GenericLFI_BODY',
        'GenericRFI_BODY',
        'JavaDeserializationRCE_BODY',
        'Log4JRCE_BODY',
        'ReactJSRCE_BODY',
        'SizeRestrictions_BODY',
      ]);
      assert.match(render(only(stage.of('AWS::WAFv2::WebACLAssociation')).Properties.ResourceArn), /\/stages\//);
    }
  },

  S15() {
    for (const stage of inAws) {
      const { MethodSettings, AccessLogSetting } = only(stage.of('AWS::ApiGateway::Stage')).Properties;
      assert.ok(MethodSettings.length >= 2);
      const everything = MethodSettings.find((setting: any) => setting.ResourcePath === '/*');
      assert.equal(everything.DataTraceEnabled, false);
      for (const setting of MethodSettings) assert.ok(!setting.DataTraceEnabled);
      assert.deepEqual(
        [...AccessLogSetting.Format.matchAll(/\$context\.[\w.]+/g)].map(([field]) => field.slice('$context.'.length)),
        [
          'requestId',
          'integration.requestId',
          'xrayTraceId',
          'requestTimeEpoch',
          'identity.sourceIp',
          'httpMethod',
          'resourcePath',
          'status',
          'responseLength',
          'responseLatency',
          'integrationStatus',
          'integrationLatency',
          'waf.status',
          'tlsVersion',
        ],
      );
      const { RedactedFields, LoggingFilter } = only(stage.of('AWS::WAFv2::LoggingConfiguration')).Properties;
      // A log entry quotes the match of a rule about cross-site scripting in a body. Only blocked requests
      // are logged, and rules that block by address precede those that inspect bodies.
      assert.equal(LoggingFilter.DefaultBehavior, 'DROP');
      assert.deepEqual(only(LoggingFilter.Filters as any[]).Conditions, [{ ActionCondition: { Action: 'BLOCK' } }]);
      const rules: any[] = only(stage.of('AWS::WAFv2::WebACL')).Properties.Rules;
      const byPriority = [...rules].sort((a, b) => a.Priority - b.Priority).map(({ Name }) => Name);
      const first = ['per-address', 'without-credentials', 'AWSManagedRulesAmazonIpReputationList'];
      assert.deepEqual(byPriority.slice(0, 3), first);
      const redacted = RedactedFields.map((field: any) => field.SingleHeader?.Name ?? Object.keys(field).join());
      assert.deepEqual(redacted, [...CREDENTIAL_HEADERS, 'cookie', 'QueryString']);
      for (const { SampledRequestsEnabled } of having(stage.of('AWS::WAFv2::WebACL'), 'SampledRequestsEnabled')) {
        assert.equal(SampledRequestsEnabled, false);
      }
    }
  },

  S16() {
    for (const stage of everywhere) {
      const settings: any[] = only(stage.of('AWS::ApiGateway::Stage')).Properties.MethodSettings;
      const limits = Object.fromEntries(
        settings.map((setting) => [
          `${setting.HttpMethod} ${setting.ResourcePath}`,
          [setting.ThrottlingRateLimit, setting.ThrottlingBurstLimit],
        ]),
      );
      const { ingest, operate } = stage.stage.http;
      assert.deepEqual(limits, {
        '* /*': [operate.perSecond, operate.burst],
        'POST /~1leads': [ingest.perSecond, ingest.burst],
        'POST /~1leads~1{id}': [ingest.perSecond, ingest.burst],
      });
    }
  },

  S17() {
    for (const stage of inAws) {
      for (const { SecretString } of having(stage.of('AWS::SecretsManager::Secret'), 'SecretString')) {
        const initial = ['{}', 'https://example.invalid/not-set', '# docs/security.md describes this file'];
        assert.ok(initial.includes(SecretString), SecretString);
      }
      for (const name of FUNCTIONS) {
        for (const [variable, value] of Object.entries(variables(stage.function(name)))) {
          assert.doesNotMatch(variable, /(TOKEN|SECRETS?|PASSWORD|KEY|DATABASE_URL)$/, name);
          assert.doesNotMatch(JSON.stringify(value), /resolve:secretsmanager/, variable);
        }
      }
      const cluster = only(stage.of('AWS::RDS::DBCluster')).Properties.MasterUserPassword;
      assert.match(render(cluster), /^\{\{resolve:secretsmanager:/);
    }
  },

  S18() {
    for (const stage of everywhere) {
      const callers = stage.of('AWS::Lambda::Permission').map(({ Properties }) => {
        assert.equal(Properties.Action, 'lambda:InvokeFunction');
        assert.ok(Properties.SourceArn, 'restricted to one source');
        return `${Properties.Principal} ${render(Properties.FunctionName).replace(/[{}]|(Function|Alias).*$/g, '')}`;
      });
      assert.deepEqual([...new Set(callers)].sort(), [
        'apigateway.amazonaws.com Api',
        'apigateway.amazonaws.com Ingest',
        'events.amazonaws.com Janitor',
        ...(stage.stage.synthetic ? ['events.amazonaws.com Synthetic'] : []),
      ]);
      assert.deepEqual(stage.of('AWS::Lambda::Url'), []);
    }
  },

  S19() {
    for (const type of ['AWS::KMS::Key', 'AWS::SQS::Queue', 'AWS::S3::Bucket', 'AWS::SecretsManager::Secret']) {
      for (const [id, { Type, DeletionPolicy, UpdateReplacePolicy }] of Object.entries(prod.resources())) {
        // The master's password is deleted with the database; a restored database gets another one.
        if (Type === type && !id.includes('DatabaseClusterSecret')) {
          assert.equal(DeletionPolicy, 'RetainExceptOnCreate', id);
          assert.equal(UpdateReplacePolicy, 'Retain', id);
        }
      }
    }
    const cluster = only(prod.of('AWS::RDS::DBCluster'));
    assert.equal(cluster.DeletionPolicy, 'Snapshot');
    assert.equal(cluster.Properties.DeletionProtection, true);
    assert.equal(cluster.Properties.BackupRetentionPeriod, 35);
    const manifest = JSON.parse(readFileSync(`${prod.outdir}/manifest.json`, 'utf8'));
    for (const stack of ['data', 'service']) {
      assert.equal(manifest.artifacts[`revenueflow-prod-${stack}`].properties.terminationProtection, true, stack);
    }
  },

  S20() {
    for (const [stage, days] of [
      [dev, 7],
      [staging, 30],
      [prod, 90],
    ] as const) {
      const groups = stage.of('AWS::Logs::LogGroup');
      assert.ok(groups.length >= 10);
      for (const group of groups) assert.equal(group.Properties.RetentionInDays, days);
      const names = groups.map(({ Properties }) => render(Properties.LogGroupName ?? ''));
      // Includes the groups that a service would otherwise create, without a key and without expiry.
      assert.ok(
        names.some((name) => /^API-Gateway-Execution-Logs_\{Http\w+\}\//.test(name)),
        names.join(),
      );
      const rotation = only(stage.of('AWS::Serverless::Application')).Properties.Parameters.functionName;
      assert.ok(names.includes(`/aws/lambda/${rotation}`), names.join());
      for (const [id, { Type, Properties }] of Object.entries(stage.resources())) {
        if (Type !== 'AWS::Lambda::Function') continue;
        const group = Properties.LoggingConfig?.LogGroup?.Ref;
        assert.equal(stage.resources()[group]?.Type, 'AWS::Logs::LogGroup', id);
      }
      const after = only(stage.of('AWS::ApiGateway::Stage')).DependsOn ?? [];
      assert.ok(
        after.some((id) => id.includes('ExecutionLog')),
        'otherwise API Gateway creates the group first',
      );
    }
  },

  S21() {
    for (const name of ['enrich', 'janitor', 'api']) {
      const statements = prod
        .of('AWS::IAM::Policy')
        .filter(({ Properties }) => Properties.Roles[0].Ref === prod.function(name).Properties.Role['Fn::GetAtt'][0])
        .flatMap(statementsOf)
        .filter(({ Action }) => [Action].flat().some((action: string) => action.startsWith('bedrock:')));
      assert.equal(statements.length, 2);
      const [profile, model] = statements;
      assert.match(render(profile.Resource), /:inference-profile\/global\.anthropic\.claude-haiku-5-5$/);
      assert.equal(render(model.Condition.StringEquals['bedrock:InferenceProfileArn']), render(profile.Resource));
    }
    for (const name of FUNCTIONS)
      assert.deepEqual(
        dev.permissions(name).filter((allowed) => allowed.startsWith('bedrock:')),
        [],
      );
  },

  S22() {
    for (const stage of inAws) {
      assert.deepEqual(stage.findings, []);
      const reasons = stage.acknowledged();
      assert.ok(reasons.length > 5);
      for (const [rule, reason] of reasons) assert.ok(reason.length > 30, `${rule}: ${reason}`);
    }
    // A careless stack has findings.
    const { findings } = new Synthesized('dev', {}, 'careless');
    assert.ok(
      findings.some((finding) => finding.includes('AwsSolutions-SQS4')),
      findings.join(),
    );
  },

  S23() {
    for (const stage of inAws) assert.deepEqual(stage.of('AWS::WAFv2::IPSet'), []);
    const addresses = ['198.51.100.0/24', '203.0.113.7/32'];
    const { http } = dev.stage;
    const stage = new Synthesized({ ...dev.stage, http: { ...http, operators: addresses } });
    const known = only(stage.of('AWS::WAFv2::IPSet')).Properties;
    assert.deepEqual([known.Scope, known.IPAddressVersion, known.Addresses], ['REGIONAL', 'IPV4', addresses]);
    const rule = only<any>(
      only(stage.of('AWS::WAFv2::WebACL')).Properties.Rules.filter(({ Name }: any) => Name === 'operators'),
    );
    assert.deepEqual(rule.Action, { Block: {} });
    const [webhook, operator] = rule.Statement.AndStatement.Statements.map(
      ({ NotStatement }: any) => NotStatement.Statement,
    );
    assert.match(render(operator.IPSetReferenceStatement.Arn), /Operators/);
    const [method, path] = webhook.AndStatement.Statements;
    const { FieldToMatch, PositionalConstraint, SearchString } = method.ByteMatchStatement;
    assert.deepEqual([FieldToMatch, PositionalConstraint, SearchString], [{ Method: {} }, 'EXACTLY', 'POST']);
    assert.deepEqual(path.RegexMatchStatement.FieldToMatch, { UriPath: {} });
    const uri = new RegExp(path.RegexMatchStatement.RegexString);
    for (const webhook of ['/leads', '/prod/leads', '/leads/demo-form']) assert.match(webhook, uri);
    for (const operator of [`/leads/${'0a'.repeat(32)}`, '/leads/abc/promote', '/crm/rollback', '/erasures']) {
      assert.doesNotMatch(operator, uri);
    }
  },
};
