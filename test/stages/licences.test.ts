import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convert } from '../../src/stages/convert.js';
import { quantize } from '../../src/stages/quantize.js';

const dir = mkdtempSync(join(tmpdir(), 'halfbyte-licences-'));
test.after(() => rmSync(dir, { recursive: true }));

const model = join(dir, 'model');
cpSync(fileURLToPath(new URL('../../fixtures/llama-hd8', import.meta.url)), model, { recursive: true });
for (const name of ['LICENSE', 'NOTICE.txt', 'license.md', 'USE_POLICY.md']) writeFileSync(join(model, name), name);
mkdirSync(join(model, 'licenses'));

const { signal } = new AbortController();
const settings = { dryRun: false, workers: 0 };

function check(output: string): void {
  const listed = JSON.parse(readFileSync(join(output, 'halfbyte.json'), 'utf8')).files as { name: string }[];
  for (const name of ['LICENSE', 'NOTICE.txt', 'license.md', 'USE_POLICY.md']) {
    assert.is(readFileSync(join(output, name), 'utf8'), name);
    assert.ok(listed.some((file) => file.name === name));
  }
}

test('a package carries the licences and notices of its checkpoint', async () => {
  const output = join(dir, 'package');
  await convert(model, {}, { ...settings, output }, () => {}, signal);
  check(output);
});

test('a quantized checkpoint carries them as well', async () => {
  const output = join(dir, 'quantized');
  await quantize(model, { layout: 'plain', weights: 'bf16' }, { ...settings, output }, () => {}, signal);
  check(output);
});

test.run();
