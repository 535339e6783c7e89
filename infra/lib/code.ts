import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { FunctionName } from './names.ts';
import { FILES, type Files } from './settings.ts';
import type { Stage } from './stages.ts';

/** The target machine of an ELF file, by the two bytes at offset 18. */
const ELF_MACHINES: Record<number, Stage['architecture']> = { 0x3e: 'x86_64', 0xb7: 'arm64' };

/**
 * The folder of a function's binary. Throws if the binary is missing or built for another architecture than
 * the stage's.
 */
export function bootstrapFolder(binaries: string, function_: FunctionName, stage: Stage): string {
  const folder = join(binaries, function_);
  const bootstrap = join(folder, 'bootstrap');
  if (!existsSync(bootstrap)) throw new Error(`${bootstrap} is missing: run scripts/build-functions first`);

  const header = Buffer.alloc(20);
  const file = openSync(bootstrap, 'r');
  readSync(file, header, 0, header.length, 0);
  closeSync(file);
  const machine = ELF_MACHINES[header.readUInt16LE(18)];
  if (header.readUInt32BE(0) === 0x7f454c46 && machine !== stage.architecture) {
    throw new Error(
      `${bootstrap} is built for ${machine ?? 'an unknown machine'}, and the stage ${stage.name} runs ${stage.architecture}: ` +
        `build for it, or give -c architecture=${machine ?? 'NAME'}`,
    );
  }
  return folder;
}

/** The folder where Lambda unpacks a function's code. */
const UNPACKED = '/var/task';

export interface CodeFolder {
  readonly folder: string;
  /** The names of the deployed files in the folder. */
  readonly names: string[];
  /** Variables that name the deployed files for the function. */
  readonly variables: Record<string, string>;
}

/** A function's deployed code: its binary, and the stage's files that it reads. */
export function codeFolder(
  binaries: string,
  function_: FunctionName,
  stage: Stage,
  kinds: readonly (keyof Files)[],
): CodeFolder {
  const built = bootstrapFolder(binaries, function_, stage);
  const given = kinds.flatMap((kind) => {
    const path = stage.files?.[kind];
    return path === undefined ? [] : [{ kind, path: fileURLToPath(new URL(`../../${path}`, import.meta.url)) }];
  });
  if (given.length === 0) return { folder: built, names: ['bootstrap'], variables: {} };

  const folder = mkdtempSync(join(tmpdir(), `revenueflow-${function_}-`));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const names = ['bootstrap'];
  const variables: Record<string, string> = {};
  copyFileSync(join(built, 'bootstrap'), join(folder, 'bootstrap'));
  for (const { kind, path } of given) {
    if (!existsSync(path)) throw new Error(`files.${kind} of the stage ${stage.name}: ${path} is missing`);
    const name = basename(path);
    if (names.includes(name)) throw new Error(`files of the stage ${stage.name}: two are named ${name}`);
    copyFileSync(path, join(folder, name));
    names.push(name);
    variables[FILES[kind]] = `${UNPACKED}/${name}`;
  }
  return { folder, names, variables };
}
