import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addErrors, ERROR_STATE_BYTES, noErrors, readErrors } from '../../src/core/error-sums.js';
import type { Dtype, Job, QuantizationArgs } from '../../src/core/types.js';
import { openMeter } from '../../src/engine/error-meter.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { find } from '../../src/registry.js';
import { byTwin, matrices, type StoredMatrix, stored } from './twin.js';

const DTYPES: Dtype[] = ['BF16', 'F32', 'F16'];
const shared = loadKernels();
const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;
const base = { symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' } as const;

const integers = fc
  .record({
    scheme: fc.constantFrom('int4', 'int8'),
    symmetric: fc.boolean(),
    signed: fc.boolean(),
    scale_dtype: fc.constantFrom('F32', 'F16', 'BF16'),
    algorithm: fc.constant('rtn'),
    strategy: fc.constantFrom('group', 'group', 'channel'),
    group_size: fc.constantFrom(16, 32, 64, 128, 256),
  })
  .map((args) => args as QuantizationArgs);
const floats = fc
  .record({
    scheme: fc.constantFrom('fp8_e4m3', 'fp8_e5m2'),
    strategy: fc.constantFrom('tensor', 'channel', 'block'),
    block_structure: fc.constantFrom([128, 128], [2, 8], [3, 24]),
    scale_dtype: fc.constantFrom('F32', 'BF16', 'F8_E8M0'),
    symmetric: fc.constant(true),
    algorithm: fc.constant('rtn'),
  })
  .map((args) => args as QuantizationArgs);
const halves = fc
  .constantFrom('f16', 'bf16')
  .map((scheme): QuantizationArgs => ({ ...base, scheme, strategy: 'tensor' }));

/** The bytes of a matrix's error sums, by kernel or by twin, done `step` rows at a time from row `first` on. */
async function stateOf(matrix: StoredMatrix, args: QuantizationArgs, byKernel: boolean, first = 0, step = Infinity) {
  const { dtype, cols, bytes } = matrix;
  const scheme = (await find('schemes', args.scheme))!;
  const state = shared.heapBase;
  const kernels = byKernel ? shared : { ...shared, measures: () => false };
  shared.reserve(1 << 20);
  shared.bytes(state, ERROR_STATE_BYTES).fill(0);
  const rowBytes = bytes.length / matrix.rows;
  const source = { kind: 'tensor', rows: matrix.rows + first, cols } as Job['source'];
  const meter = openMeter({ name: 'w', source, scheme: args, outputs: {} }, scheme, dtype, kernels, state);
  for (let row = 0; row < matrix.rows; row += step) {
    const rows = Math.min(step, matrix.rows - row);
    const piece = { ...matrix, rows, bytes: bytes.subarray(row * rowBytes, (row + rows) * rowBytes).slice() };
    const packed = await byTwin(piece, args);
    if ('value' in packed) return undefined;
    const input = state + ERROR_STATE_BYTES;
    shared.bytes(input, piece.bytes.length).set(piece.bytes);
    let next = input + aligned(piece.bytes.length);
    const addresses: Record<string, number> = {};
    for (const [part, content] of Object.entries(packed as Record<string, Uint8Array>)) {
      addresses[part] = next;
      shared.bytes(next, content.length).set(content);
      next += aligned(content.length);
    }
    meter.add(first + row, rows, input, addresses);
  }
  return shared.bytes(state, ERROR_STATE_BYTES).slice();
}

let measured = 0;
for (const dtype of DTYPES) {
  for (const [name, settings, runs] of [
    ['integers', integers, 250],
    ['8-bit floats', floats, 150],
    ['16-bit floats', halves, 60],
  ] as const) {
    test(`${dtype} to ${name}: the kernel's sums and counts equal the twin's, bit for bit`, async () => {
      const cols = fc.oneof(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 40 }).map((n) => 8 * n),
      );
      await fc.assert(
        fc.asyncProperty(settings, matrices(dtype, 5, cols), fc.nat(3), async (args, matrix, first) => {
          if (!shared.measures({ dtype, cols: matrix.cols, args })) return;
          const expected = await stateOf(matrix, args, false, first);
          if (!expected) return;
          measured++;
          assert.equal(readErrors((await stateOf(matrix, args, true, first))!), readErrors(expected));
        }),
        { numRuns: runs },
      );
    });
  }
}

test('most of it was measured, not passed over', () => assert.ok(measured > 700, `${measured}`));

test('rows of numbers beyond the squares of float32 are done in float64', async () => {
  for (const size of [1e-30, 1e-19, 1, 1e16, 1e30]) {
    const values = Array.from({ length: 4 * 200 }, (_, i) => size * Math.sin(i * i));
    const matrix = stored('F32', 4, 200, values);
    const args: QuantizationArgs = { ...base, scheme: 'int4', strategy: 'group', group_size: 32 };
    const sums = readErrors((await stateOf(matrix, args, true))!);
    assert.equal(sums, readErrors((await stateOf(matrix, args, false))!));
    const exact = Array.from(Float32Array.from(values)).reduce((sum, x) => sum + x * x, 0);
    assert.ok(Math.abs(sums.signal / exact - 1) < 1e-6, `${size}: ${sums.signal} for ${exact}`);
    assert.ok(sums.noise > 0 && Number.isFinite(sums.noise));
  }
});

test('how rows are cut changes no bit', async () => {
  const values = Array.from({ length: 24 * 72 }, (_, i) => Math.sin(i * i) / 9);
  for (const args of [
    { ...base, scheme: 'int4', strategy: 'group', group_size: 32 },
    { ...base, scheme: 'nf4', strategy: 'group', group_size: 64 },
    { ...base, scheme: 'fp8_e4m3', strategy: 'block', block_structure: [2, 24] },
  ] as QuantizationArgs[]) {
    const matrix = stored('BF16', 24, 72, values);
    const quantum = args.scheme === 'nf4' ? 8 : 2;
    const whole = await stateOf(matrix, args, true);
    for (const step of [quantum, 2 * quantum, 16]) assert.equal(await stateOf(matrix, args, true, 0, step), whole);
  }
});

test('sums add up, and an empty one changes nothing', async () => {
  const matrix = stored(
    'F32',
    2,
    16,
    Array.from({ length: 32 }, (_, i) => i - 15),
  );
  const args: QuantizationArgs = { ...base, scheme: 'int4', strategy: 'group', group_size: 16 };
  const sums = readErrors((await stateOf(matrix, args, true))!);
  const total = noErrors();
  addErrors(total, sums);
  assert.equal(total, sums);
  addErrors(total, sums);
  assert.is(total.signal, 2 * sums.signal);
  assert.is(total.greatest, sums.greatest);
  assert.is(total.before[0] + total.before.reduce((a, b) => a + b), 64);
});

test.run();
