import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import { byKernel, byTwin, matrices, sameAsTwin, stored } from './twin.js';

const base = { symmetric: true, algorithm: 'rtn' } as const;
const settings: fc.Arbitrary<QuantizationArgs> = fc.record({
  scheme: fc.constantFrom('fp8_e4m3', 'fp8_e5m2'),
  strategy: fc.constantFrom('tensor' as const, 'channel' as const, 'block' as const),
  block_structure: fc.constantFrom<[number, number]>([128, 128], [2, 16], [3, 5], [1, 32]),
  symmetric: fc.constant(true),
  scale_dtype: fc.constantFrom('F32' as const, 'BF16' as const, 'F8_E8M0' as const),
  algorithm: fc.constant('rtn' as const),
});

for (const dtype of ['BF16', 'F32', 'F16'] as Dtype[]) {
  test(`${dtype}: equals the twin, bit for bit`, async () => {
    const cols = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.constantFrom(128, 256, 300));
    await fc.assert(
      fc.asyncProperty(matrices(dtype, 5, cols), settings, async (matrix, args) => {
        await sameAsTwin(matrix, args);
      }),
      { numRuns: 400 },
    );
  });

  test(`${dtype}: the magnitude of a whole tensor, of which these rows are some`, async () => {
    const amax = fc.constantFrom(448, 1e30, 3.4e38, 65504 * 7);
    const values = fc.array(fc.float({ min: -448, max: 448, noNaN: true }), { minLength: 40, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(values, settings, amax, async (numbers, args, most) => {
        await sameAsTwin(stored(dtype, 2, 20, numbers), { ...args, strategy: 'tensor', amax: Math.fround(most) });
      }),
      { numRuns: 150 },
    );
  });

  test(`${dtype}: the first value that is not finite is named`, async () => {
    for (const index of [0, 16, 74, 75, 5 * 75 - 1]) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const values = Float32Array.from({ length: 5 * 75 }, (_, i) => Math.cos(i));
        values[index] = value;
        const args: QuantizationArgs = { ...base, scheme: 'fp8_e4m3', strategy: 'channel', scale_dtype: 'BF16' };
        const refusal = { row: Math.floor(index / 75), column: index % 75, value };
        assert.equal(await byKernel(stored(dtype, 5, 75, values), args), refusal);
      }
    }
  });
}

test('scales at and beside powers of two, and where they would be no normal float', async () => {
  const besides = (x: number) => [-1, 0, 1].map((steps) => new Float32Array(Uint32Array.of(bits(x) + steps).buffer)[0]);
  const bits = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0];
  const magnitudes = [448, 448 * 2 ** -20, 448 * 2 ** -126, 448 * 2 ** -127, 1e-45, 57344 * 2 ** -126, 57344].flatMap(
    besides,
  );
  for (const scheme of ['fp8_e4m3', 'fp8_e5m2']) {
    for (const scale_dtype of ['F32', 'BF16', 'F8_E8M0'] as const) {
      const args: QuantizationArgs = { ...base, scheme, strategy: 'channel', scale_dtype };
      const values = magnitudes.flatMap((x) => [x, x / 3, -x / 7, 0]);
      const matrix = stored('F32', magnitudes.length, 4, values);
      await sameAsTwin(matrix, args);
      assert.ok('codes' in (await byTwin(matrix, args)));
    }
  }
});

test.run();
