import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';

test('a tokenizer.json that is a link to nothing is an error, not a checkpoint without a tokenizer', () => {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-links-'));
  try {
    cpSync(fileURLToPath(new URL('../../fixtures/llama-hd8', import.meta.url)), dir, { recursive: true });
    rmSync(join(dir, 'tokenizer.json'), { force: true });
    assert.not.ok(openCheckpoint(dir).companions.includes('tokenizer.json'));
    symlinkSync('../blobs/gone', join(dir, 'tokenizer.json'));
    assert.throws(
      () => openCheckpoint(dir),
      (error: Error) =>
        error instanceof InvalidInputError &&
        /tokenizer.json: is a link to a file that is not there/.test(error.message),
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
