import { rmSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HalfbyteError } from '../../src/core/errors.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { hostileCases, materialize } from '../hostile.js';

for (const hostile of hostileCases().filter((each) => each.level === 'open')) {
  test(`refuses: ${hostile.name}`, () => {
    const { root, checkpoint } = materialize(hostile);
    try {
      openCheckpoint(checkpoint);
      assert.unreachable('it was opened');
    } catch (error) {
      if (!(error instanceof HalfbyteError)) throw error;
      assert.is(error.exitCode, hostile.code);
      for (const part of hostile.message) assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
      assert.ok(error.advice, 'says what to do');
    } finally {
      rmSync(root, { recursive: true });
    }
  });
}

test('the name of a repository is no path: the advice says how to download it', () => {
  for (const [path, advice] of [
    ['Qwen/Qwen2.5-0.5B', 'download it first: git clone https://huggingface.co/Qwen/Qwen2.5-0.5B (with Git LFS).'],
    ['./models/none', 'check the path.'],
    ['/models/none', 'check the path.'],
  ]) {
    try {
      openCheckpoint(path);
      assert.unreachable('it was opened');
    } catch (error) {
      assert.is((error as HalfbyteError).advice, advice);
    }
  }
});

test('the table has every kind of case', () => {
  assert.ok(hostileCases().length >= 40);
});

test.run();
