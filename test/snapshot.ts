import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';

const folder = new URL('../fixtures/snapshots/', import.meta.url);

/** Compares a text with fixtures/snapshots/<name>; UPDATE_SNAPSHOTS=1 writes it, for review in the diff. */
export function matchSnapshot(name: string, actual: string): void {
  const file = fileURLToPath(new URL(name, folder));
  if (process.env.UPDATE_SNAPSHOTS === '1') {
    mkdirSync(fileURLToPath(folder), { recursive: true });
    writeFileSync(file, actual);
  }
  assert.ok(existsSync(file), `${file} is missing: run the test once with UPDATE_SNAPSHOTS=1`);
  assert.fixture(actual, readFileSync(file, 'utf8'));
}
