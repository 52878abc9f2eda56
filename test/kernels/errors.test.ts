import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import { addErrors, ERROR_STATE_BYTES, histogramStride, noErrors, readErrors } from '../../src/core/error-sums.js';
import type { Job } from '../../src/core/plan.js';
import type { Packed, QuantizationArgs } from '../../src/core/scheme.js';
import { meterRoom, openMeter } from '../../src/engine/error-meter.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import { find, ids } from '../../src/registry.js';
import { addRowErrors, endsOf } from './plain-errors.js';
import { byTwin, matrices, type StoredMatrix, stored, valuesOf } from './twin.js';

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
const DEFAULTS = await Promise.all(ids('schemes').map(async (id) => (await find('schemes', id))!.defaults));
const others = fc.constantFrom(...DEFAULTS.filter(({ scheme }) => !/^(int|fp8)/.test(scheme)));

/** A matrix with the parts that it became, and where the errors of its rows are put. */
interface Measured {
  matrix: StoredMatrix;
  args: QuantizationArgs;
  packed: Packed;
  /** Number of the first row in its tensor. */
  first: number;
}

async function quantized(matrix: StoredMatrix, args: QuantizationArgs, first = 0): Promise<Measured | undefined> {
  const packed = await byTwin(matrix, args);
  return 'value' in packed ? undefined : { matrix, args, packed: packed as Packed, first };
}

/** The bytes of a matrix's error sums by the plain twin. */
async function plainState({ matrix, args, packed, first }: Measured): Promise<Uint8Array> {
  const { rows, cols } = matrix;
  const scheme = (await find('schemes', args.scheme))!;
  const state = new Uint8Array(ERROR_STATE_BYTES);
  const decoded = new Float32Array(rows * cols);
  scheme.dequantize(packed, rows, cols, args, decoded);
  const ends = endsOf(scheme, packed, rows, cols, args);
  addRowErrors(state, valuesOf(matrix), decoded, ends, cols, first, histogramStride(rows + first, cols));
  return state;
}

/** The same by the meter, in one piece. */
async function meteredState({ matrix, args, packed, first }: Measured, kernels = shared): Promise<Uint8Array> {
  const { dtype, rows, cols, bytes } = matrix;
  const scheme = (await find('schemes', args.scheme))!;
  const state = shared.heapBase;
  const room = state + ERROR_STATE_BYTES;
  const input = room + aligned(meterRoom(cols));
  shared.reserve(4 << 20);
  shared.bytes(state, ERROR_STATE_BYTES).fill(0);
  shared.bytes(input, bytes.length).set(bytes);
  let next = input + aligned(bytes.length);
  const addresses: Record<string, number> = {};
  for (const [part, content] of Object.entries(packed)) {
    addresses[part] = next;
    shared.bytes(next, content.length).set(content);
    next += aligned(content.length);
  }
  const source = { kind: 'tensor', rows: rows + first, cols } as Job['source'];
  const job = { name: 'w', source, scheme: args, outputs: {} };
  openMeter(job, scheme, dtype, kernels, { state, room }).add(first, rows, input, addresses);
  return shared.bytes(state, ERROR_STATE_BYTES).slice();
}

async function sameAsPlain(measured: Measured): Promise<void> {
  const message = JSON.stringify(measured.args);
  assert.equal(readErrors(await meteredState(measured)), readErrors(await plainState(measured)), message);
}

let measured = 0;
for (const dtype of DTYPES) {
  for (const [name, settings, runs] of [
    ['integers', integers, 250],
    ['8-bit floats', floats, 150],
    ['other schemes', others, 250],
  ] as const) {
    test(`${dtype} to ${name}: the kernels' sums and counts equal the twin's, bit for bit`, async () => {
      const cols = fc.oneof(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 40 }).map((n) => 8 * n),
      );
      await fc.assert(
        fc.asyncProperty(settings, matrices(dtype, 5, cols), fc.nat(3), async (args, matrix, first) => {
          const found = await quantized(matrix, args, first);
          if (!found) return;
          measured++;
          await sameAsPlain(found);
        }),
        { numRuns: runs },
      );
    });
  }
}

test('most of it was measured, not passed over', () => assert.ok(measured > 1200, `${measured}`));

const WIDE: QuantizationArgs[] = [
  ...DEFAULTS,
  { ...base, scheme: 'int4', strategy: 'group', group_size: 32, symmetric: false, scale_dtype: 'BF16' },
  { ...base, scheme: 'int4', strategy: 'channel', symmetric: false, signed: true },
  { ...base, scheme: 'fp8_e4m3', strategy: 'block', block_structure: [3, 24], scale_dtype: 'BF16' },
  { ...base, scheme: 'fp8_e5m2', strategy: 'tensor' },
];

test('rows that are decoded in several steps', async () => {
  for (const cols of [4001, 4096]) {
    const matrix = stored(
      'BF16',
      9,
      cols,
      Float32Array.from({ length: 9 * cols }, (_, i) => Math.sin(i * i) ** 5 / 9),
    );
    for (const args of WIDE) await sameAsPlain((await quantized(matrix, args))!);
  }
});

test('a scheme without a kernel is decoded by itself', async () => {
  const matrix = stored(
    'F32',
    9,
    4001,
    Float32Array.from({ length: 9 * 4001 }, (_, i) => Math.sin(i * i)),
  );
  const found = (await quantized(matrix, { ...base, scheme: 'int4', strategy: 'group', group_size: 32 }))!;
  const without = { ...shared, dequantizes: () => false };
  assert.equal(await meteredState(found, without), await meteredState(found));
});

test('rows of numbers beyond the squares of float32 are done in float64', async () => {
  for (const size of [1e-30, 1e-19, 1, 1e16, 1e30]) {
    const values = Array.from({ length: 4 * 200 }, (_, i) => size * Math.sin(i * i));
    const matrix = stored('F32', 4, 200, values);
    const args: QuantizationArgs = { ...base, scheme: 'int4', strategy: 'group', group_size: 32 };
    const found = (await quantized(matrix, args))!;
    await sameAsPlain(found);
    const sums = readErrors(await meteredState(found));
    const exact = Array.from(Float32Array.from(values)).reduce((sum, x) => sum + x * x, 0);
    assert.ok(Math.abs(sums.signal / exact - 1) < 1e-6, `${size}: ${sums.signal} for ${exact}`);
    assert.ok(sums.noise > 0 && Number.isFinite(sums.noise));
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
  const sums = readErrors(await meteredState((await quantized(matrix, args))!));
  const total = noErrors();
  addErrors(total, sums);
  assert.equal(total, sums);
  addErrors(total, sums);
  assert.is(total.signal, 2 * sums.signal);
  assert.is(total.greatest, sums.greatest);
  assert.is(total.before[0] + total.before.reduce((a, b) => a + b), 64);
});

test.run();
