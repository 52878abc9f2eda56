import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import { NonFiniteWeight, type Scheme } from '../../src/core/scheme.js';
import { find } from '../../src/registry.js';

interface Vectors {
  cases: string[];
  values: string;
  types: Record<string, { bytes: string; floatsSha256: string }>;
}
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/layouts/gguf-blocks.json', import.meta.url), 'utf8'),
);
const floatsOf = (base64: string) => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
const values = floatsOf(vectors.values);

function quantize(scheme: Scheme, floats: Float32Array, cols: number): Uint8Array {
  const { nbytes } = scheme.layout(floats.length / cols, cols, scheme.defaults).codes;
  const codes = new Uint8Array(nbytes).fill(0xa5);
  scheme.quantize(floats, cols, scheme.defaults, { codes });
  return codes;
}

for (const [id, { bytes, floatsSha256 }] of Object.entries(vectors.types)) {
  const expected = Uint8Array.from(Buffer.from(bytes, 'base64'));
  const blockBytes = expected.length / vectors.cases.length;

  for (const [index, name] of vectors.cases.entries()) {
    test(`${id}: ${name} gives ggml's bytes`, async () => {
      const scheme = (await find('schemes', id))!;
      const block = values.subarray(256 * index, 256 * (index + 1));
      const mine = quantize(scheme, block, 256);
      assert.is(
        Buffer.from(mine).toString('hex'),
        Buffer.from(expected.subarray(blockBytes * index, blockBytes * (index + 1))).toString('hex'),
      );
    });
  }

  test(`${id}: dequantizes to ggml's floats, bit for bit`, async () => {
    const scheme = (await find('schemes', id))!;
    const floats = new Float32Array(values.length);
    scheme.dequantize({ codes: expected }, vectors.cases.length, 256, scheme.defaults, floats);
    assert.is(createHash('sha256').update(new Uint8Array(floats.buffer)).digest('hex'), floatsSha256);
  });

  test(`${id}: rows do not touch each other`, async () => {
    const scheme = (await find('schemes', id))!;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.nat(15), (rows, blocks, first) => {
        const cols = 256 * blocks;
        const floats = values.subarray(first * 32, first * 32 + rows * cols);
        const each = Array.from({ length: rows }, (_, row) =>
          quantize(scheme, floats.slice(row * cols, (row + 1) * cols), cols),
        );
        assert.equal(Buffer.concat(each), Buffer.from(quantize(scheme, floats.slice(), cols)));
      }),
      { numRuns: 10 },
    );
  });

  test(`${id}: a value beyond a half-float scale is refused with its place`, async () => {
    const scheme = (await find('schemes', id))!;
    const floats = new Float32Array(512).fill(0.5);
    floats[300] = 1e12;
    assert.throws(
      () => quantize(scheme, floats, 256),
      (error: unknown) => error instanceof NonFiniteWeight && error.row === 1 && error.column === 44,
    );
  });

  test(`${id}: has no settings`, async () => {
    const scheme = (await find('schemes', id))!;
    assert.throws(
      () => scheme.check({ ...scheme.defaults, group_size: 64 }),
      (error: unknown) => error instanceof UsageError,
    );
    assert.throws(
      () => scheme.check({ ...scheme.defaults, symmetric: !scheme.defaults.symmetric }),
      (error: unknown) => error instanceof UsageError,
    );
  });
}

test.run();
