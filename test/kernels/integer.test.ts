import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { byKernel, byTwin, matrices, sameAsTwin, stored } from './twin.js';

const DTYPES: Dtype[] = ['BF16', 'F32', 'F16'];
const base: Omit<QuantizationArgs, 'scheme' | 'strategy'> = { symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' };

const settings = fc.record({
  scheme: fc.constantFrom('int4', 'int8'),
  symmetric: fc.boolean(),
  signed: fc.boolean(),
  scale_dtype: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const),
  algorithm: fc.constantFrom('rtn' as const, 'mse' as const, 'kquant' as const, 'hqq' as const),
});

for (const dtype of DTYPES) {
  for (const group_size of [16, 32, 64, 128, 256]) {
    test(`${dtype}, groups of ${group_size}: every setting equals the twin, bit for bit`, async () => {
      const cols = fc.oneof(
        fc.integer({ min: 1, max: 3 * group_size }),
        fc.integer({ min: 1, max: 4 }).map((groups) => groups * group_size),
      );
      await fc.assert(
        fc.asyncProperty(settings, matrices(dtype, 7, cols), async (args, matrix) => {
          await sameAsTwin(matrix, { ...args, strategy: 'group', group_size });
        }),
        { numRuns: 120 },
      );
    });
  }

  test(`${dtype}, a scale a row: every setting equals the twin, odd rows included`, async () => {
    await fc.assert(
      fc.asyncProperty(settings, matrices(dtype, 5, fc.integer({ min: 1, max: 100 })), async (args, matrix) => {
        await sameAsTwin(matrix, { ...args, strategy: 'channel' });
      }),
      { numRuns: 300 },
    );
  });

  test(`${dtype}: long rows, in which pieces follow each other, equal the twin`, async () => {
    for (const cols of [2048, 2049, 4103, 6145]) {
      const matrix = stored(
        dtype,
        3,
        cols,
        Array.from({ length: 3 * cols }, (_, i) => Math.sin(i * i) / 9),
      );
      for (const scheme of ['int4', 'int8']) {
        for (const symmetric of [true, false]) {
          for (const algorithm of ['rtn', 'mse', 'kquant', 'hqq'] as const) {
            const args = { ...base, scheme, symmetric, algorithm };
            await sameAsTwin(matrix, { ...args, strategy: 'channel' });
            await sameAsTwin(matrix, { ...args, strategy: 'group', group_size: 64 });
          }
        }
      }
    }
  });

  test(`${dtype}: the first value that is not finite is named, wherever it stands`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 5 * 75 - 1 }),
        fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
        fc.constantFrom('group' as const, 'channel' as const),
        fc.constantFrom('rtn' as const, 'hqq' as const),
        async (index, value, strategy, algorithm) => {
          const values = Float32Array.from({ length: 5 * 75 }, (_, i) => Math.cos(i));
          values[index] = value;
          values[values.length - 1] = value;
          const matrix = stored(dtype, 5, 75, values);
          const args: QuantizationArgs = { ...base, scheme: 'int4', strategy, group_size: 16, algorithm };
          const refusal = { row: Math.floor(index / 75), column: index % 75, value };
          assert.equal(await byKernel(matrix, args), refusal);
          assert.equal(await byTwin(matrix, args), refusal);
        },
      ),
    );
  });
}

test('without a kernel: other schemes, dtypes that are no weights', () => {
  const { supports } = loadKernels();
  const args: QuantizationArgs = { ...base, scheme: 'int4', strategy: 'group', group_size: 32 };
  assert.ok(supports('BF16', args));
  assert.not(supports('BF16', { ...args, scheme: 'constructor' }));
  assert.not(supports('I32', args));
});

test.run();
