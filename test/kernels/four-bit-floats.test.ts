import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import type { QuantizationArgs } from '../../src/core/scheme.js';
import { find } from '../../src/registry.js';
import { byKernel, byTwin, matrices, sameAsTwin, stored } from './twin.js';

const DTYPES: Dtype[] = ['BF16', 'F32', 'F16'];
const defaultsOf = async (scheme: string): Promise<QuantizationArgs> => (await find('schemes', scheme))!.defaults;
/** Every setting of the schemes that have 16 values. */
const SETTINGS: [string, Partial<QuantizationArgs>][] = [
  ['nf4', { group_size: 64 }],
  ['nf4', { group_size: 128 }],
  ['nf4', { group_size: 256 }],
  ['mxfp4', { algorithm: 'rtn' }],
  ['mxfp4', { algorithm: 'mse' }],
  ['nvfp4', { algorithm: 'rtn' }],
  ['nvfp4', { algorithm: 'mse' }],
];

for (const dtype of DTYPES) {
  for (const [scheme, settings] of SETTINGS) {
    const label = Object.values(settings).join(' ');

    test(`${scheme} ${label} of ${dtype}: equals the twin, bit for bit`, async () => {
      const args = { ...(await defaultsOf(scheme)), ...settings };
      const cols = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(16, 32, 64, 128, 256, 300));
      await fc.assert(
        fc.asyncProperty(matrices(dtype, 5, cols), async (matrix) => {
          await sameAsTwin(matrix, args);
        }),
        { numRuns: 150 },
      );
    });

    test(`${scheme} ${label} of ${dtype}: the first value that is not finite is named`, async () => {
      const args = { ...(await defaultsOf(scheme)), ...settings };
      for (const index of [0, 16, 74, 75, 5 * 75 - 1]) {
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          const values = Float32Array.from({ length: 5 * 75 }, (_, i) => Math.cos(i));
          values[index] = value;
          const refusal = { row: Math.floor(index / 75), column: index % 75, value };
          assert.equal(await byKernel(stored(dtype, 5, 75, values), args), refusal);
        }
      }
    });
  }

  test(`nvfp4 of ${dtype}: a magnitude that other tensors share`, async () => {
    await fc.assert(
      fc.asyncProperty(
        matrices(dtype, 3, fc.integer({ min: 1, max: 40 })),
        fc.constantFrom(0, 1e-45, 1e-30, 0.75, 12345, 3e38),
        fc.constantFrom('rtn' as const, 'mse' as const),
        async (matrix, amax, algorithm) => {
          await sameAsTwin(matrix, { ...(await defaultsOf('nvfp4')), algorithm, amax: Math.fround(amax) });
        },
      ),
      { numRuns: 200 },
    );
  });
}

/** The float32 next to x, `steps` away. */
const beside = (x: number, steps: number): number => {
  const bits = new Int32Array(Float32Array.of(x).buffer);
  bits[0] += steps;
  return new Float32Array(bits.buffer)[0];
};

test('values at every border between two codes, and next to it', async () => {
  const { NF4_BOUNDS } = await import('../../src/schemes/nf4.js');
  const borders = {
    nf4: [...NF4_BOUNDS],
    mxfp4: [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5],
    nvfp4: [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5],
  };
  for (const [scheme, bounds] of Object.entries(borders)) {
    const args = await defaultsOf(scheme);
    const size = args.group_size as number;
    // one value fixes the scale of its group: 1 for nf4, 6 for the others
    const values = bounds
      .flatMap((bound) => [-1, 0, 1].flatMap((steps) => [beside(bound, steps), -beside(bound, steps)]))
      .flatMap((x, i) => (i % (size - 1) === 0 ? [scheme === 'nf4' ? 1 : 6, x] : [x]));
    const matrix = stored('F32', 1, values.length, values);
    await sameAsTwin(matrix, args);
    const { codes } = (await byTwin(matrix, args)) as Record<string, Uint8Array>;
    const seen = new Set([...codes].flatMap((byte) => [byte & 15, byte >> 4]));
    assert.ok(seen.size >= 15, `${scheme}: ${seen.size} codes`);
  }
});

test.run();
