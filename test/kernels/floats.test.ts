import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DTYPE_BITS, type Dtype, FLOAT_DTYPES, widen } from '../../src/core/dtype.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { byKernel, byTwin, matrices, sameAsTwin, stored } from './twin.js';

const DTYPES: Dtype[] = ['BF16', 'F32', 'F16'];
const argsOf = (scheme: string): QuantizationArgs => ({
  scheme,
  strategy: 'tensor',
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'rtn',
});

for (const dtype of DTYPES) {
  for (const scheme of ['f32', 'f16', 'bf16']) {
    test(`${dtype} to ${scheme}: equals the twin, refusals included`, async () => {
      await fc.assert(
        fc.asyncProperty(matrices(dtype, 4, fc.integer({ min: 1, max: 40 })), async (matrix) => {
          await sameAsTwin(matrix, argsOf(scheme));
        }),
        { numRuns: 300 },
      );
    });

    test(`${dtype} to ${scheme}: names the first value that is not finite`, async () => {
      for (const index of [0, 7, 8, 30, 32]) {
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          const values = new Float32Array(33).fill(0.5);
          values[index] = value;
          const refusal = { row: Math.floor(index / 11), column: index % 11, value };
          assert.equal(await byKernel(stored(dtype, 3, 11, values), argsOf(scheme)), refusal);
        }
      }
    });
  }
}

test('a finite float32 beyond the range of a half or of a bfloat16 is refused, the last one within is not', async () => {
  const bits = (code: number) => new Float32Array(Uint32Array.of(code).buffer)[0];
  const edges = [
    ['f16', 65519.99609375, 65520],
    ['bf16', bits(0x7f7f7fff), bits(0x7f7f8000)],
  ] as const;
  for (const [scheme, last, beyond] of edges) {
    for (const sign of [1, -1]) {
      const refused = stored('F32', 1, 9, [0, 0, 0, 0, 0, 0, 0, 0, sign * beyond]);
      assert.equal(await byKernel(refused, argsOf(scheme)), { row: 0, column: 8, value: sign * beyond });
      assert.equal(await byTwin(refused, argsOf(scheme)), { row: 0, column: 8, value: sign * beyond });
      const kept = await byKernel(stored('F32', 1, 9, new Array(9).fill(sign * last)), argsOf(scheme));
      assert.ok('codes' in kept);
    }
  }
});

test('NaN of every payload is refused', async () => {
  for (const code of [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0x7fc00000]) {
    const bytes = new Uint8Array(Uint32Array.of(0x3f800000, code).buffer);
    for (const scheme of ['f32', 'f16', 'bf16']) {
      const outcome = await byKernel({ dtype: 'F32', rows: 1, cols: 2, bytes }, argsOf(scheme));
      assert.equal(outcome, { row: 0, column: 1, value: Number.NaN }, `${scheme} of ${code.toString(16)}`);
    }
  }
});

for (const dtype of FLOAT_DTYPES) {
  test(`widen: ${dtype} equals the twin, for every length`, () => {
    const kernels = loadKernels();
    const size = DTYPE_BITS[dtype] / 8;
    // of 8- and 16-bit floats all codes, of wider ones any
    const total = size <= 2 ? 256 ** size : 4096;
    const bytes = new Uint8Array(total * size);
    for (let i = 0; i < bytes.length; i++)
      bytes[i] = size <= 2 ? Math.floor(i / size) >>> (8 * (i % size)) : (i * 40503) >>> 5;
    const to = kernels.heapBase + bytes.length;
    kernels.reserve(bytes.length + 4 * total + 16);
    kernels.bytes(kernels.heapBase, bytes.length).set(bytes);
    for (const count of [0, 1, 2, 3, 5, 7, 8, 13, total]) {
      const want = new Float32Array(count);
      widen(dtype, bytes, want);
      const got = kernels.bytes(to, 4 * count + 16).fill(0x55);
      kernels.widen(dtype, kernels.heapBase, count, to);
      const floats = new Float32Array(got.buffer, to, count);
      for (let i = 0; i < count; i++)
        assert.ok(Object.is(floats[i], want[i]), `${dtype}[${i}]: ${floats[i]}, not ${want[i]}`);
      assert.ok(
        got.subarray(4 * count).every((byte) => byte === 0x55),
        'nothing is written beyond',
      );
    }
  });
}

test('views stay true until reserve, which keeps what the memory holds', () => {
  const kernels = loadKernels();
  kernels.reserve(100);
  kernels.bytes(kernels.heapBase, 3).set([1, 2, 3]);
  kernels.reserve(5 << 20);
  assert.equal([...kernels.bytes(kernels.heapBase, 3)], [1, 2, 3]);
  assert.is(kernels.bytes(kernels.heapBase + (5 << 20) - 1, 1).length, 1);
  assert.is(kernels.heapBase % 16, 0);
});

test('memory beyond 4 GiB is refused with what to do', () => {
  assert.throws(
    () => loadKernels().reserve(2 ** 32),
    (error: Error & { advice?: string }) =>
      error.name === 'EnvironmentError' && /--max-memory/.test(error.advice ?? ''),
  );
});

test.run();
