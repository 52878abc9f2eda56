import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { placesBelow } from '../../src/places/below.js';

const dir = mkdtempSync(join(tmpdir(), 'halfbyte-below-'));
test.after(() => rmSync(dir, { recursive: true }));

const write = (...path: string[]) => {
  mkdirSync(join(dir, ...path.slice(0, -1)), { recursive: true });
  writeFileSync(join(dir, ...path), '{}');
};

test('a folder answers with the checkpoints, packages and GGUF files below it', () => {
  write('cache', 'models--a--b', 'snapshots', '0123', 'config.json');
  write('cache', 'int4', 'genai_config.json');
  write('cache', 'gguf', 'a-00001-of-00002.gguf');
  write('cache', 'gguf', 'a-00002-of-00002.gguf');
  write('cache', 'gguf', 'b.gguf');
  const cache = join(dir, 'cache');
  assert.equal(placesBelow(cache), [
    { path: join(cache, 'gguf', 'a-00001-of-00002.gguf'), kind: 'GGUF file' },
    { path: join(cache, 'gguf', 'b.gguf'), kind: 'GGUF file' },
    { path: join(cache, 'int4'), kind: 'package' },
    { path: join(cache, 'models--a--b', 'snapshots', '0123'), kind: 'checkpoint' },
  ]);
});

test('a checkpoint, an empty folder and what is no folder answer for themselves', () => {
  write('own', 'config.json');
  write('own', 'sub', 'config.json');
  mkdirSync(join(dir, 'empty'));
  for (const name of ['own', 'empty', 'nothere']) assert.equal(placesBelow(join(dir, name)), []);
});

test.run();
