/** Checks every numbered statement of docs/security.md and docs/deploy.md against the deployed templates. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { alarms } from './claims/alarms.ts';
import { deploy } from './claims/deploy.ts';
import { life } from './claims/life.ts';
import { security } from './claims/security.ts';
import { synthetic } from './claims/synthetic.ts';
import { thresholds } from './claims/thresholds.ts';
import { watch } from './claims/watch.ts';

const checks = { ...security, ...deploy, ...alarms, ...life, ...synthetic, ...thresholds, ...watch };

/** The statements, by number. */
const statements = new Map(
  ['security', 'deploy'].flatMap((page) => {
    const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
    return [...text.matchAll(/^\| ([SD]\d+) \| (.+) \|$/gm)].map(
      ([, number, statement]) => [number!, statement!] as const,
    );
  }),
);

for (const number of new Set([...statements.keys(), ...Object.keys(checks)])) {
  const statement = statements.get(number);
  test(`${number} ${statement ?? ''}`, () => {
    assert.ok(statement, 'checked, but not documented');
    assert.ok(checks[number], 'documented, but not checked');
    checks[number]();
  });
}
