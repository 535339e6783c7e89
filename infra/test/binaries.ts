import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { FUNCTIONS } from '../lib/names.ts';

/** A new folder that is removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'revenueflow-infra-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with a stub for every function's binary. */
export function standIns(): string {
  const folder = temporaryFolder();
  for (const name of FUNCTIONS) {
    mkdirSync(join(folder, name), { recursive: true });
    cpSync(fileURLToPath(new URL('bootstrap', import.meta.url)), join(folder, name, 'bootstrap'));
  }
  return folder;
}

/** The ELF header of a Linux program for the machine of this number, without any content. */
export function elf(machine: number): Buffer {
  const header = Buffer.alloc(64);
  header.writeUInt32BE(0x7f454c46, 0);
  header.set([2, 1, 1], 4); // 64 bits, the lowest byte first, version 1
  header.writeUInt16LE(2, 16); // a program
  header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(1, 20);
  header.writeUInt16LE(64, 52);
  return header;
}
