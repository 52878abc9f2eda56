import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { xxh64 } from '../../src/core/xxh64.js';
import { DIGEST_STATE_BYTES, Digest, digestOfFile } from '../../src/engine/digest.js';
import { loadKernels } from '../../src/kernels/kernels.js';

const hex = (value: bigint) => value.toString(16).padStart(16, '0');

test('the twin gives the published values', () => {
  // xxhsum -H64 of the empty input, "a" and "abc"
  const known = { '': 'ef46db3751d8e999', a: 'd24ec4f1a98c6e5b', abc: '44bc2cf5ad770999' };
  for (const [text, digest] of Object.entries(known)) assert.is(hex(xxh64(Buffer.from(text))), digest);
});

test('the kernel equals its twin however the bytes are cut', async () => {
  const kernels = await loadKernels();
  kernels.reserve(4096);
  const buffer = kernels.heapBase + 2 * DIGEST_STATE_BYTES;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.integer({ min: 0, max: 90 })), (bytes, cuts) => {
      kernels.bytes(buffer, bytes.length).set(bytes);
      const digest = new Digest(kernels, kernels.heapBase);
      // A second one at work in between must not disturb the first.
      const other = new Digest(kernels, kernels.heapBase + DIGEST_STATE_BYTES);
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        const count = Math.min(cut, bytes.length - at);
        digest.update(buffer + at, count);
        other.update(buffer, Math.min(5, bytes.length));
        at += count;
      }
      assert.is(digest.finish(), hex(xxh64(bytes)));
    }),
    { numRuns: 500 },
  );
});

test('a file and its ranges', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-test-'));
  const file = join(dir, 'bytes');
  const bytes = Buffer.alloc(3_000_000, 'some text over and over ');
  writeFileSync(file, bytes);
  assert.is(await digestOfFile(file), await digestOfFile(file, 0, bytes.length));
  assert.is(await digestOfFile(file, 1001, 5000), hex(xxh64(bytes.subarray(1001, 6001))));
  assert.is(await digestOfFile(file, 2_999_999, 2), await digestOfFile(file, 2_999_999, 1));
  rmSync(dir, { recursive: true });
});

test.run();
