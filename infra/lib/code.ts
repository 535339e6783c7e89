import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

import type { FunctionName } from './names.ts';
import type { Stage } from './stages.ts';

/** The machine an ELF file is for: two bytes at offset 18. */
const ELF_MACHINES: Record<number, Stage['architecture']> = { 0x3e: 'x86_64', 0xb7: 'arm64' };

/** The folder of a function's binary; throws where there is none, or it is for another machine than the stage's. */
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
