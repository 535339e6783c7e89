/**
 * Checks names in docs/deploy.md and docs/operations.md against the stacks, the options of `cdk` and the
 * repository.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { FUNCTIONS } from '../lib/names.ts';
import { QUERIES } from '../lib/queries.ts';
import { Synthesized } from './stacks.ts';

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const page = (name: string) => readFileSync(root(`docs/${name}.md`), 'utf8');
const deploy = page('deploy');
const prod = new Synthesized('prod', { backupRegion: 'eu-west-1' });
const stacks = [prod.data, prod.service, prod.copies!].map((template) => template.toJSON());

/** The distinct texts of the first group of all matches. */
function all(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, found]) => found!))];
}

/** The names of all production alarms, without their prefix. */
const alarmNames = ['AWS::CloudWatch::Alarm', 'AWS::CloudWatch::CompositeAlarm']
  .flatMap((type) => prod.of(type))
  .map(({ Properties }) => (Properties.AlarmName as string).replace('revenueflow-prod-', ''));

test('every documented option of cdk is read', () => {
  const read = all(readFileSync(root('infra/app.ts'), 'utf8'), /context\('(\w+)'\)/g);
  const documented = all(deploy, /(?<![\w-])-c (\w+)=/g);
  assert.ok(documented.length >= 5, documented.join());
  for (const option of documented) assert.ok(read.includes(option), `-c ${option}`);
  for (const option of read)
    assert.ok(option === 'binaries' || documented.includes(option), `-c ${option} is not documented`);
});

test('every documented output exists', () => {
  const outputs = stacks.flatMap(({ Outputs }) => Object.keys(Outputs ?? {}));
  const documented = [...all(deploy, /OutputKey=='(\w+)'/g), ...all(deploy, /`(\w+)` \(an output/g)];
  assert.ok(documented.length > 0);
  for (const output of documented) assert.ok(outputs.includes(output), output);
});

test('every documented resource name is part of a stack', () => {
  const resources = JSON.stringify(stacks);
  for (const text of [deploy, page('operations')]) {
    for (const name of all(text, /revenueflow-(?:STAGE|prod|dev)-([a-z][a-z.-]*[a-z])/g)) {
      const isStack = ['data', 'service', 'copies'].includes(name);
      const isThere =
        isStack || resources.includes(`"revenueflow-prod-${name}`) || resources.includes(`revenueflow-prod-${name}"`);
      assert.ok(isThere || resources.includes(`_revenueflow-prod-${name}`), `revenueflow-STAGE-${name}`);
    }
    for (const name of all(text, /revenueflow\/(?:STAGE|prod|dev)\/([a-z-]+)/g)) {
      assert.ok(resources.includes(`"revenueflow/prod/${name}"`), `revenueflow/STAGE/${name}`);
    }
  }
});

test('every documented alarm exists', () => {
  const [, section] = /## What to do when an alarm of the deployment rings\n(.*?)\n## /s.exec(page('operations'))!;
  const documented = all(section!, /^\| (`.*?) \|/gm).flatMap((cell) => all(cell, /`([a-z-]+)`/g));
  assert.ok(documented.length >= 10, documented.join());
  for (const name of documented) assert.ok(alarmNames.includes(name), name);
  const elsewhere = all(deploy, /--alarm-name revenueflow-prod-([a-z-]+)/g);
  for (const name of elsewhere) assert.ok(alarmNames.includes(name), name);
  // Names that look like alarms may also be functions, queries, or terms of AWS and of the command line.
  for (const name of all(deploy, /`(webhooks-[a-z-]+|leads?-[a-z-]+|no-webhooks|credentials-refused)`/g)) {
    assert.ok(alarmNames.includes(name), name);
  }
});

test('every documented file exists', () => {
  const folders = 'infra|scripts|docs|config|localstack|events|shared|functions|cli|tests';
  for (const path of all(deploy, new RegExp(`[\`( ]((?:${folders})/[\\w./-]*\\w)`, 'g'))) {
    assert.ok(existsSync(root(path)) || path.startsWith('config/acme/'), path);
  }
  for (const path of all(deploy, /`(lib\/[\w./-]*\w)`/g)) assert.ok(existsSync(root(`infra/${path}`)), path);
  for (const path of all(deploy, /\]\(([\w.-]+)[)#]/g)) assert.ok(existsSync(root(`docs/${path}`)), path);
});

test('every function in a documented command exists', () => {
  const named = all(deploy, /--function-name revenueflow-(?:STAGE|prod|dev)-([a-z-]+)/g);
  assert.ok(named.length > 0);
  for (const name of named) assert.ok((FUNCTIONS as readonly string[]).includes(name), name);
  assert.ok(deploy.includes(`"${QUERIES[0]!.name}"`), 'the query to begin with is named');
});
