import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { FUNCTIONS } from '../lib/names.ts';

/** A new folder that is gone when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'revenueflow-infra-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with a stand-in for every function's binary. */
export function standIns(): string {
  const folder = temporaryFolder();
  for (const name of FUNCTIONS) {
    mkdirSync(join(folder, name), { recursive: true });
    cpSync(fileURLToPath(new URL('bootstrap', import.meta.url)), join(folder, name, 'bootstrap'));
  }
  return folder;
}
