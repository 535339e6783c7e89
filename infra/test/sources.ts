import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The text of every deployed Rust file below a folder of the repository. */
export function sources(folder: string): string {
  return read(fileURLToPath(new URL(`../../${folder}`, import.meta.url)));
}

function read(folder: string): string {
  return readdirSync(folder)
    .map((entry) => join(folder, entry))
    .filter((path) => !/\/(tests|target|node_modules)$/.test(path))
    .map((path) => (statSync(path).isDirectory() ? read(path) : path.endsWith('.rs') ? readFileSync(path, 'utf8') : ''))
    .join('\n');
}
