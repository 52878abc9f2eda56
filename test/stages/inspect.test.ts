import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describeInspection, inspect } from '../../src/stages/inspect.js';

const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'halfbyte-inspect-'));
test.after(() => rmSync(dir, { recursive: true }));

/** A checkpoint of single bytes, each a tensor. */
function tensors(count: number): string {
  const entries = Array.from({ length: count }, (_, index) => [
    `model.layers.${Math.floor(index / 4)}.e${index % 4}.w`,
    { dtype: 'U8', shape: [1], data_offsets: [index, index + 1] },
  ]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  cpSync(join(fixtures, 'llama-hd8/config.json'), join(dir, 'config.json'));
  writeFileSync(join(dir, 'model.safetensors'), Buffer.concat([length, header, Buffer.alloc(count)]));
  return dir;
}

test('many tensors are summed up, and listed where that is asked for', async () => {
  const found = await inspect(tensors(1000));
  const text = describeInspection(found);
  assert.match(text, /^1000 tensors; --tensors lists them$/m);
  assert.match(text, /^ {2}model\.layers\.\*\.e0\.w +U8 +\[1\] +x 250$/m);
  assert.match(describeInspection(found, true), /^ {2}model\.layers\.249\.e3\.w/m);
});

test('140,000 tensors that nothing uses are no internal error', async () => {
  const text = describeInspection(await inspect(tensors(140_000)));
  assert.match(text, /^140000 tensors; --tensors lists them$/m);
  assert.ok(text.split('\n').length < 200);
});

test('a tied table that is stored as the head too counts once', async () => {
  const source = join(fixtures, 'llama-hd8');
  const once = await inspect(source);
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8'));
  assert.is(once.kind, 'checkpoint');
  if (once.kind !== 'checkpoint') return;
  const shapes = new Map(once.tensors.map(({ name, shape }) => [name, shape]));
  const all = once.tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const head = shapes.has('lm_head.weight') && config.tie_word_embeddings ? config.vocab_size * config.hidden_size : 0;
  assert.is(once.parameters, all - head);
});

test.run();
