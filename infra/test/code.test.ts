import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { bootstrapFolder } from '../lib/code.ts';
import { stage } from '../lib/stages.ts';
import { elf, standIns } from './binaries.ts';

test('a missing binary is named with a hint', () => {
  const binaries = standIns();
  rmSync(join(binaries, 'janitor'), { recursive: true });
  assert.throws(
    () => bootstrapFolder(binaries, 'janitor', stage('prod')),
    /janitor.bootstrap is missing: run scripts.build-functions/,
  );
});

test('a binary for another machine is refused', () => {
  const binaries = standIns();
  writeFileSync(join(binaries, 'api/bootstrap'), elf(0x3e));
  assert.throws(
    () => bootstrapFolder(binaries, 'api', stage('prod')),
    /built for x86_64, and the stage prod runs arm64/,
  );
  assert.equal(bootstrapFolder(binaries, 'api', stage('prod', { architecture: 'x86_64' })), join(binaries, 'api'));
  writeFileSync(join(binaries, 'api/bootstrap'), elf(0xb7));
  assert.equal(bootstrapFolder(binaries, 'api', stage('prod')), join(binaries, 'api'));
});

test('an unknown stage or architecture is refused', () => {
  assert.throws(() => stage('production'), /must be one of dev, staging, prod, local, not production/);
  assert.throws(() => stage(undefined), /must be one of/);
  assert.throws(() => stage('prod', { architecture: 'riscv64' }), /must be arm64 or x86_64, not riscv64/);
  assert.throws(() => stage('prod', { alertsEmail: 'nobody' }), /must be an e-mail address, not nobody/);
  assert.throws(() => stage('prod', { canary: 'no' }), /canary=VALUE must be true or false, not no/);
});
