/** `scripts/check-functions` on programs for this machine and on artificial ones. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { FUNCTIONS } from '../lib/names.ts';
import { elf, temporaryFolder } from './binaries.ts';

const script = fileURLToPath(new URL('../../scripts/check-functions', import.meta.url));
const here = process.arch === 'arm64' ? 'arm64' : 'x86_64';
const elsewhere = here === 'arm64' ? 'x86_64' : 'arm64';

/** The problems that the script reports, one per line, without the folder. */
function found(folder: string, architecture: string): string[] {
  const { status, stderr } = spawnSync(script, [architecture, folder], { encoding: 'utf8' });
  const lines = stderr.split('\n').filter((line) => line !== '');
  assert.equal(status, lines.length === 0 ? 0 : 1, stderr);
  return lines.map((line) => line.replace(`${folder}/`, ''));
}

/** A folder in which every function is this program. */
function filled(make: (path: string) => void): string {
  const folder = temporaryFolder();
  const program = join(temporaryFolder(), 'program');
  make(program);
  for (const name of FUNCTIONS) {
    const path = join(folder, name, 'bootstrap');
    mkdirSync(dirname(path));
    copyFileSync(program, path);
  }
  return folder;
}

/** A program that uses the C library as a function does, built with this machine's compiler. */
function compiled(source: string, path: string, ...options: string[]): void {
  const { status, stderr } = spawnSync('cc', ['-x', 'c', '-', '-x', 'none', '-o', path, ...options], {
    input: source,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
}

test('a program passes for its own architecture only', () => {
  const folder = filled((path) => compiled('int main(void) { return 0; }', path));
  assert.deepEqual(found(folder, here), []);
  for (const line of found(folder, elsewhere)) assert.match(line, /^[a-z-]+\/bootstrap is built for .+, not for/);
  assert.equal(found(folder, elsewhere).length, FUNCTIONS.length);
});

test('a program for the other architecture is named', () => {
  const folder = filled((path) => writeFileSync(path, elf(elsewhere === 'arm64' ? 0xb7 : 0x3e), { mode: 0o755 }));
  assert.match(found(folder, here)[0]!, /^ingest\/bootstrap is built for .+, not for/);
});

test('a newer C library and a missing library are named', () => {
  // A symbol with a version that no C library has yet, from a stub of the C library.
  const libraries = temporaryFolder();
  writeFileSync(join(libraries, 'versions'), 'GLIBC_2.99 { global: newer; };');
  compiled(
    'void newer(void) {}',
    join(libraries, 'libc.so.6'),
    '-shared',
    '-nostdlib',
    `-Wl,--version-script=${libraries}/versions`,
    '-Wl,-soname,libc.so.6',
  );
  compiled('void other(void) {}', join(libraries, 'libssl.so.3'), '-shared', '-nostdlib', '-Wl,-soname,libssl.so.3');
  const source = 'void newer(void); void other(void); void _start(void) { newer(); other(); }';
  const folder = filled((path) =>
    compiled(source, path, '-nostdlib', join(libraries, 'libc.so.6'), join(libraries, 'libssl.so.3')),
  );
  assert.deepEqual(found(folder, here).slice(0, 2), [
    'ingest/bootstrap needs glibc 2.99, and Lambda has 2.34',
    'ingest/bootstrap needs libssl.so.3, which Lambda lacks',
  ]);
});

test('a missing, non-executable or invalid program is named', () => {
  const folder = filled((path) => compiled('int main(void) { return 0; }', path));
  assert.match(found(join(folder, 'nowhere'), here)[0]!, /bootstrap is missing: run scripts.build-functions/);
  writeFileSync(join(folder, 'api/bootstrap'), '#!/bin/sh\n');
  chmodSync(join(folder, 'api/bootstrap'), 0o644);
  const api = found(folder, here).filter((line) => line.startsWith('api/'));
  assert.deepEqual(api, ['api/bootstrap is not executable', 'api/bootstrap is no ELF program']);
});
