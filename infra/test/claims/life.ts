/** The statements of docs/deploy.md about deploying, updating and removing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { FUNCTIONS } from '../../lib/names.ts';
import { stage as shipped } from '../../lib/stages.ts';
import { SUBSCRIBER, Synthesized, render } from '../stacks.ts';
import { dev, everywhere, inAws, local, only, prod, staging, type Checks } from './common.ts';

/** Production with every option enabled: one synthesis for several statements. */
const full = new Synthesized({
  ...shipped('prod', { alertsEmail: SUBSCRIBER, canary: 'false' }),
  ai: { provider: 'bedrock', modelId: 'jp.anthropic.claude-haiku-5-5', fallback: 'gemini' },
  http: { ...prod.stage.http, domain: { name: 'leads.example.com', zone: { id: 'Z123', name: 'example.com' } } },
});

export const life: Checks = {
  D18() {
    for (const stage of everywhere) {
      const feeding = FUNCTIONS.filter((name) => {
        const allowed = stage.permissions(name);
        const queues = allowed
          .filter((line) => line.startsWith('sqs:ReceiveMessage '))
          .map((line) => line.split(' ')[1]!);
        return queues.some((queue) => allowed.includes(`sqs:SendMessage ${queue}`));
      });
      assert.deepEqual(feeding, ['enrich']);
      for (const name of FUNCTIONS) {
        const { RecursiveLoop } = stage.function(name).Properties;
        assert.equal(RecursiveLoop, feeding.includes(name) ? 'Allow' : undefined, name);
      }
    }
  },

  D19() {
    const manifest = JSON.parse(readFileSync(`${prod.outdir}/manifest.json`, 'utf8'));
    for (const stack of ['data', 'service']) {
      assert.equal(manifest.artifacts[`revenueflow-prod-${stack}`].properties.terminationProtection, true, stack);
    }
    for (const [id, { DeletionPolicy }] of Object.entries(prod.data.toJSON().Resources as Record<string, any>)) {
      assert.notEqual(DeletionPolicy, 'Retain', `${id} would remain after a failed first deployment`);
    }
    for (const stage of [dev, staging]) {
      const { BucketName } = only(stage.of('Custom::S3AutoDeleteObjects')).Properties;
      assert.match(render(BucketName), /^\{Overflow/);
    }
    for (const stage of [prod, local]) assert.deepEqual(stage.of('Custom::S3AutoDeleteObjects'), []);
  },

  D20() {
    const made = ['webhook', 'admin-token', 'operators', 'crm', 'enrichment', 'ai', 'alert-webhook'];
    const names = (stage: Synthesized) =>
      stage
        .of('AWS::SecretsManager::Secret')
        .map(({ Properties }) => Properties.Name.replace(`revenueflow/${stage.stage.name}/`, ''))
        .filter((name) => name !== 'database-master');
    const exported = (stage: Synthesized) =>
      Object.keys(stage.data.toJSON().Outputs).flatMap((id) => /^ExportsOutputRef(Secrets[a-z]+)/.exec(id)?.[1] ?? []);
    for (const stage of [...everywhere, full]) {
      assert.deepEqual(names(stage), made, stage.stage.name);
      const all = made.map((name) => `Secrets${name.replace('-', '')}`);
      assert.deepEqual(exported(stage).sort(), all.sort(), 'secrets without a reader are still exported');
    }
  },

  D21() {
    const shifted = (stage: Synthesized) =>
      Object.values(stage.resources()).filter((resource) => 'UpdatePolicy' in resource).length;
    assert.deepEqual([shifted(prod), shifted(full)], [3, 0]);
    // Everything else remains for the next deployment.
    for (const type of ['AWS::CodeDeploy::Application', 'AWS::CodeDeploy::DeploymentGroup', 'AWS::Lambda::Alias']) {
      assert.equal(full.of(type).length, prod.of(type).length, type);
    }
  },

  D22() {
    const { DomainName, SecurityPolicy, EndpointAccessMode, EndpointConfiguration } = only(
      full.of('AWS::ApiGateway::DomainName'),
    ).Properties;
    assert.equal(DomainName, 'leads.example.com');
    assert.deepEqual(EndpointConfiguration.Types, ['REGIONAL']);
    assert.equal(SecurityPolicy, only(full.of('AWS::ApiGateway::RestApi')).Properties.SecurityPolicy);
    assert.equal(EndpointAccessMode, 'STRICT');
    const certificate = only(full.of('AWS::CertificateManager::Certificate')).Properties;
    assert.deepEqual([certificate.DomainName, certificate.ValidationMethod], ['leads.example.com', 'DNS']);
    const record = only(full.of('AWS::Route53::RecordSet')).Properties;
    assert.deepEqual([record.Name, record.Type, record.HostedZoneId], ['leads.example.com.', 'A', 'Z123']);
    only(full.of('AWS::ApiGateway::BasePathMapping'));
    assert.deepEqual(full.findings, []);
    assert.equal(full.service.toJSON().Outputs.WebhookUrl.Value, 'https://leads.example.com/leads');
    for (const stage of everywhere) assert.deepEqual(stage.of('AWS::ApiGateway::DomainName'), []);
  },

  D24() {
    for (const stage of inAws) {
      assert.equal(only(stage.of('AWS::ApiGateway::Stage')).Properties.TracingEnabled, true);
      for (const name of FUNCTIONS) {
        assert.deepEqual(stage.function(name).Properties.TracingConfig, { Mode: 'Active' }, name);
        assert.ok(stage.permissions(name).includes('xray:PutTraceSegments *'), name);
      }
      const format = JSON.parse(only(stage.of('AWS::ApiGateway::Stage')).Properties.AccessLogSetting.Format);
      assert.equal(format.function_request_id, '$context.integration.requestId');
      assert.equal(format.trace_id, '$context.xrayTraceId');
    }
    for (const name of FUNCTIONS) {
      assert.deepEqual(local.function(name).Properties.TracingConfig, { Mode: 'Active' }, name);
    }
  },

  D25() {
    const text = readFileSync(new URL('../../../shared/analysis/src/models.rs', import.meta.url), 'utf8');
    const regional = /const REGIONAL: \[&str; \d+\] = \[([^\]]+)\]/.exec(text)?.[1];
    const prefixes = [...regional!.matchAll(/"([^"]+)"/g)].map(([, prefix]) => prefix!);
    const service = readFileSync(new URL('../../lib/service.ts', import.meta.url), 'utf8');
    const known = /const PROFILES = \[([^\]]+)\]/.exec(service)?.[1];
    for (const prefix of [...prefixes, 'global.']) assert.ok(known?.includes(`'${prefix}'`), prefix);
    const allowed = full.permissions('enrich').filter((line) => line.startsWith('bedrock:'));
    assert.ok(allowed.some((line) => line.endsWith('inference-profile/jp.anthropic.claude-haiku-5-5')));
    assert.ok(
      allowed.some((line) => line.endsWith('foundation-model/anthropic.claude-haiku-5-5')),
      allowed.join(),
    );
    const { ai, ...rest } = shipped('dev');
    const wrong = { ...rest, ai: { provider: 'bedrock', modelId: 'anthropic.claude-haiku-5-5' } } as const;
    assert.throws(() => new Synthesized(wrong), /names no inference profile/);
    assert.equal(ai.provider, 'rules');
  },

  D26() {
    const main = readFileSync(new URL('../../terraform/main.tf', import.meta.url), 'utf8');
    assert.match(main, /bucket = "cdk-\$\{var\.qualifier\}-assets-\$\{[\w.]*account_id\}-\$\{local\.region\}"/);
    for (const stage of inAws) {
      // The module expects one destination per file, in the bootstrap's bucket.
      const keys = ['data', 'service'].flatMap((stack) => {
        const assets = readFileSync(`${stage.outdir}/revenueflow-${stage.stage.name}-${stack}.assets.json`, 'utf8');
        const files = Object.values<any>(JSON.parse(assets).files);
        const template = `revenueflow-${stage.stage.name}-${stack}.template.json`;
        assert.equal(files.filter(({ source }) => source.path === template).length, 1, template);
        return files.map(({ source, destinations }) => {
          assert.ok(['file', 'zip'].includes(source.packaging), source.packaging);
          const { bucketName, objectKey } = only(Object.values<any>(destinations));
          assert.equal(bucketName, `cdk-hnb659fds-assets-\${AWS::AccountId}-${stage.stage.region}`);
          return objectKey;
        });
      });
      for (const { Properties } of stage.of('AWS::Lambda::Function')) {
        if (Properties.Code.S3Key) assert.ok(keys.includes(Properties.Code.S3Key), Properties.FunctionName);
      }
      for (const template of [stage.data, stage.service]) {
        const parameters: Record<string, any> = template.toJSON().Parameters ?? {};
        for (const [name, { Default }] of Object.entries(parameters)) assert.ok(Default, `${name} requires a value`);
      }
    }
  },
};
