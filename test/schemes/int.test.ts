import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FileRange } from '../../src/core/checkpoint.js';
import { UsageError } from '../../src/core/errors.js';
import type { Attribute, Graph, GraphNode, ValueInfo } from '../../src/core/graph.js';
import type { Packed, QuantizationArgs } from '../../src/core/scheme.js';
import { encodeModel } from '../../src/formats/onnx.js';
import { find } from '../../src/registry.js';

const base: QuantizationArgs = {
  scheme: 'int4',
  strategy: 'group',
  group_size: 16,
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'rtn',
};

interface Quantized {
  packed: Packed;
  /** What the codes stand for, [rows, cols]. */
  values: Float32Array;
}

async function quantize(values: Float32Array, cols: number, args: QuantizationArgs): Promise<Quantized> {
  const scheme = (await find('schemes', args.scheme))!;
  const rows = values.length / cols;
  const packed: Packed = {};
  for (const [part, { nbytes }] of Object.entries(scheme.layout(rows, cols, args)))
    packed[part] = new Uint8Array(nbytes);
  scheme.quantize(values, cols, args, packed);
  const back = new Float32Array(values.length);
  scheme.dequantize(packed, rows, cols, args, back);
  return { packed, values: back };
}

const unpack = (bytes: Uint8Array) => [...bytes].flatMap((byte) => [byte & 15, byte >> 4]);
const floats = (bytes: Uint8Array) => [...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)];
const padded = (values: number[]) => Float32Array.from({ length: 16 }, (_, i) => values[i] ?? 0);
const near = (got: ArrayLike<number>, want: ArrayLike<number>) => {
  assert.is(got.length, want.length);
  for (let i = 0; i < want.length; i++) {
    assert.ok(Math.abs(got[i] - want[i]) <= 1e-6 * Math.max(1, Math.abs(want[i])), `[${i}]: ${got[i]}, not ${want[i]}`);
  }
};

/** Weights of both signs, the size of which changes from group to group, deterministic. */
const weights = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) * (1 + Math.cos(i / 40)) + 0.1);

// ------------------------------------------------------------------ arithmetic of mlas/lib/q4_dq.cpp, worked by hand

test('symmetric: the element of largest magnitude is -8 steps, so that a positive one makes the scale negative', async () => {
  const { packed } = await quantize(padded([4, -3.75, 0.25, -0.25, 1, 0]), 16, base);
  assert.equal(floats(packed.scales), [-0.5]);
  // -8; +7.5 + 8 = 15.5 up to 16, clamped; -0.5 + 8 = 7.5; 8.5; -2 + 8
  assert.equal(unpack(packed.codes).slice(0, 6), [0, 15, 8, 9, 6, 8]);
});

test('symmetric: between equal magnitudes of both signs the negative one counts', async () => {
  const { packed } = await quantize(padded([8, -8]), 16, base);
  assert.equal(floats(packed.scales), [1]);
  assert.equal(unpack(packed.codes).slice(0, 3), [15, 0, 8]);
});

test('halves round away from zero after the zero point is added', async () => {
  const values = [-8, -7.5, -6.5, -0.5, 0.5, 1.5, 6.5, 7.49, 7.5];
  const { packed } = await quantize(padded(values), 16, base);
  assert.equal(unpack(packed.codes).slice(0, 9), [0, 1, 2, 8, 9, 10, 15, 15, 15]);
});

test('a value is multiplied by 1 / scale in float32, not divided by the scale', async () => {
  // scale 7, 1 / 7 = 0.142857149 in float32: -45.5 * that + 8 = 1.49999952, where -45.5 / 7 + 8 is 1.5
  const { packed } = await quantize(padded([-56, -45.5, -38.5]), 16, base);
  assert.equal(floats(packed.scales), [7]);
  assert.equal(unpack(packed.codes).slice(0, 3), [0, 1, 2]);
});

test('asymmetric: the range includes 0; the zero point rounds away from zero; a step is a fifteenth', async () => {
  const cases = [
    { values: [-1, 14, 0.5, -0.5, -0.75], scale: 1, zeroPoint: 1, codes: [0, 15, 2, 1, 0] },
    { values: [15, 2.5, 1], scale: 1, zeroPoint: 0, codes: [15, 3, 1] },
    { values: [-15, -2.5, -1], scale: 1, zeroPoint: 15, codes: [0, 13, 14] },
    { values: [-0.25, 7.25], scale: 0.5, zeroPoint: 1, codes: [1, 15] },
  ];
  for (const { values, scale, zeroPoint, codes } of cases) {
    const { packed } = await quantize(padded(values), 16, { ...base, symmetric: false });
    assert.equal(floats(packed.scales), [scale]);
    assert.equal(unpack(packed.codes).slice(0, codes.length), codes);
    assert.equal(unpack(packed.codes)[15], zeroPoint, 'zero is exact');
    assert.equal([...packed.zero_points], [zeroPoint | 0x80], 'the padding nibble is 8');
  }
});

test('8 bits: 128 steps below zero and 127 above, 255 steps in all when asymmetric', async () => {
  const args: QuantizationArgs = { ...base, scheme: 'int8' };
  const symmetric = (await quantize(padded([-128, 127, 126.5, 0.5, -0.5]), 16, args)).packed;
  assert.equal(floats(symmetric.scales), [1]);
  assert.equal([...symmetric.codes.subarray(0, 6)], [0, 255, 255, 129, 128, 128]);
  const asymmetric = (await quantize(padded([-5, 250, 0.5]), 16, { ...args, symmetric: false })).packed;
  assert.equal(floats(asymmetric.scales), [1]);
  assert.equal([...asymmetric.codes.subarray(0, 4)], [0, 255, 6, 5]);
  assert.equal([...asymmetric.zero_points], [5]);
});

test('two columns a byte, the first in the low nibble; a last group is filled up with zeros of its grid', async () => {
  const { packed } = await quantize(Float32Array.from([-8, 7, 3]), 3, base);
  assert.equal(unpack(packed.codes), [0, 15, 11, ...new Array(13).fill(8)]);
});

test('a group of zeros has scale 0 and codes of zero', async () => {
  for (const symmetric of [true, false]) {
    const { packed, values } = await quantize(new Float32Array(16), 16, { ...base, symmetric });
    assert.is(Math.abs(floats(packed.scales)[0]), 0);
    assert.equal(unpack(packed.codes), new Array(16).fill(symmetric ? 8 : 0));
    assert.ok(values.every((x) => x === 0));
  }
});

test('half scales: codes are taken on the scale as it is stored', async () => {
  // 0.1 * 3 / 8 is no half: the scale becomes 0.037506103515625, 1 / it 26.66232, and 0.2812... tips over a step
  const values = padded([-0.3, 0.28125]);
  const { packed } = await quantize(values, 16, { ...base, scale_dtype: 'F16' });
  assert.equal([...packed.scales], [0xcd, 0x28]);
  assert.equal(unpack(packed.codes).slice(0, 2), [0, 15]);
});

test('bfloat16 scales: codes are taken on the scale as it is stored', async () => {
  // 0.0375 becomes 0.03759765625: 0.09379 is 2.501 steps of the first and 2.495 of the second
  const { packed, values } = await quantize(padded([-0.3, 0.09379]), 16, { ...base, scale_dtype: 'BF16' });
  assert.equal([...packed.scales], [0x1a, 0x3d]);
  assert.equal(unpack(packed.codes).slice(0, 2), [0, 10]);
  near(values.subarray(0, 2), [-8 * 0.03759765625, 2 * 0.03759765625]);
});

test("signed asymmetric codes are the same codes in two's complement", async () => {
  for (const scheme of ['int4', 'int8']) {
    for (const strategy of ['group', 'channel'] as const) {
      const args: QuantizationArgs = { ...base, scheme, strategy, symmetric: false };
      const plain = await quantize(weights(6 * 48), 48, args);
      const signed = await quantize(weights(6 * 48), 48, { ...args, signed: true });
      const mask = scheme === 'int4' ? 0x88 : 0x80;
      assert.equal(
        [...signed.packed.codes],
        [...plain.packed.codes].map((byte) => byte ^ mask),
      );
      assert.equal(signed.values, plain.values);
    }
  }
});

test('signed symmetric codes have scales above 0, as an NPU needs them', async () => {
  for (const [scheme, middle] of [['int4', 8] as const, ['int8', 128] as const]) {
    for (const group_size of [16, undefined]) {
      for (const scale_dtype of ['F32', 'F16'] as const) {
        const strategy = group_size ? 'group' : 'channel';
        const { group_size: _, ...ungrouped } = base;
        const grouped = group_size ? { ...ungrouped, group_size } : ungrouped;
        const args: QuantizationArgs = { ...grouped, scheme, strategy, scale_dtype, signed: true };
        const matrix = weights(6 * 48);
        matrix.fill(0, 48, 96);
        const { packed, values } = await quantize(matrix, 48, args);
        const width = group_size ?? 48;
        const stored = new DataView(packed.scales.buffer);
        for (let at = 0; at < matrix.length; at += width) {
          const scale = scale_dtype === 'F32' ? stored.getFloat32((at / width) * 4, true) : undefined;
          const most = Math.max(...matrix.subarray(at, at + width).map(Math.abs));
          // compressed-tensors: absolute maximum over half the steps
          if (scale !== undefined) assert.is(scale, most === 0 ? 1 : Math.fround(most / (middle - 0.5)));
          else assert.ok(stored.getUint16((at / width) * 2, true) < 0x8000);
          const step = most / (middle - 0.5);
          for (let i = at; i < at + width; i++) {
            // half a step, and the rounding of the scale
            assert.ok(Math.abs(values[i] - matrix[i]) <= 0.5 * step + most * 6e-4 + 1e-9, `${i}`);
          }
        }
      }
    }
  }
});

test('settings that do not exist are refused', async () => {
  const { check } = (await find('schemes', 'int4'))!;
  const refused: Partial<QuantizationArgs>[] = [
    { group_size: 48 },
    { group_size: undefined as unknown as number },
    { strategy: 'block' },
    { scale_dtype: 'F8_E8M0' },
  ];
  check(base);
  for (const change of refused)
    assert.throws(
      () => check({ ...base, ...change }),
      (e: Error) => e instanceof UsageError,
    );
});

// ------------------------------------------------------------------ ONNX Runtime reads the bytes

/** Runs one operator of ONNX Runtime whose constants are the parts of a packed weight, read from a data file. */
async function run(
  op: Pick<GraphNode, 'op' | 'domain'> & { attributes: Record<string, Attribute> },
  input: ValueInfo | undefined,
  parts: { name: string; dtype: ValueInfo['dtype']; shape: number[]; bytes: Uint8Array }[],
  order: string[],
  feeds: Record<string, Tensor>,
): Promise<Float32Array> {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-int-'));
  try {
    const external: Record<string, FileRange> = {};
    let offset = 0;
    for (const { name, bytes } of parts) {
      external[name] = { file: 'weights.data', offset, nbytes: bytes.length };
      offset += bytes.length;
    }
    writeFileSync(join(dir, 'weights.data'), Buffer.concat(parts.map(({ bytes }) => bytes)));
    const graph: Graph = {
      name: 'one_operator',
      inputs: input ? [input] : [],
      outputs: [{ name: 'y', dtype: 'FLOAT', shape: ['rows', 'cols'] }],
      nodes: [{ name: 'node', ...op, inputs: order, outputs: ['y'] }],
      initializers: parts.map(({ name, dtype, shape }) => ({
        name,
        dtype,
        shape,
        content: { weight: 'w', part: name },
      })),
      weights: {},
      values: {},
      hiddenStates: [],
      opsets: { '': 21, 'com.microsoft': 1 },
    };
    const file = join(dir, 'model.onnx');
    writeFileSync(file, encodeModel(graph, external, 'test'));
    const session = await InferenceSession.create(file, { intraOpNumThreads: 1, graphOptimizationLevel: 'disabled' });
    const { y } = await session.run(feeds);
    await session.release();
    return y.data as Float32Array;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const partsOf = async (args: QuantizationArgs, rows: number, cols: number, packed: Packed) =>
  Object.entries((await find('schemes', args.scheme))!.layout(rows, cols, args)).map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
    bytes: packed[name],
  }));

const rows = 7;

for (const scheme of ['int4', 'int8']) {
  const bits = scheme === 'int4' ? 4 : 8;
  for (const group_size of [16, 32, 64, 128, 256]) {
    for (const symmetric of [true, false]) {
      const args: QuantizationArgs = { ...base, scheme, group_size, symmetric };
      const title = `${scheme}, groups of ${group_size}, ${symmetric ? 'symmetric' : 'asymmetric'}`;

      test(`${title}: MatMulNBits by the identity gives what the codes stand for`, async () => {
        for (const cols of [group_size, 2 * group_size, group_size + 8, 3 * group_size - 3]) {
          const { packed, values } = await quantize(weights(rows * cols), cols, args);
          const identity = Float32Array.from({ length: cols * cols }, (_, i) => (i % (cols + 1) === 0 ? 1 : 0));
          const product = await run(
            {
              op: 'MatMulNBits',
              domain: 'com.microsoft',
              attributes: { K: cols, N: rows, block_size: group_size, bits, accuracy_level: 1 },
            },
            { name: 'a', dtype: 'FLOAT', shape: [cols, cols] },
            await partsOf(args, rows, cols, packed),
            ['a', 'codes', 'scales', ...(symmetric ? [] : ['zero_points'])],
            { a: new Tensor('float32', identity, [cols, cols]) },
          );
          near(
            product,
            values.map((_, i) => values[(i % rows) * cols + Math.floor(i / rows)]),
          );
        }
      });

      test(`${title}: GatherBlockQuantized gives the rows asked for`, async () => {
        for (const cols of [group_size, 3 * group_size]) {
          const { packed, values } = await quantize(weights(rows * cols), cols, args);
          const parts = (await partsOf(args, rows, cols, packed)).map((part) =>
            part.name === 'codes' ? { ...part, shape: [rows, (cols * bits) / 8] } : part,
          );
          const gathered = await run(
            {
              op: 'GatherBlockQuantized',
              domain: 'com.microsoft',
              attributes: { gather_axis: 0, quantize_axis: 1, block_size: group_size, bits },
            },
            { name: 'ids', dtype: 'INT64', shape: [3] },
            parts,
            ['codes', 'ids', 'scales', ...(symmetric ? [] : ['zero_points'])],
            { ids: new Tensor('int64', BigInt64Array.of(4n, 0n, 6n), [3]) },
          );
          near(
            gathered,
            [4, 0, 6].flatMap((row) => [...values.subarray(row * cols, (row + 1) * cols)]),
          );
        }
      });
    }
  }

  for (const signed of [false, true]) {
    test(`${scheme}, ${signed ? 'signed' : 'unsigned'}, a scale a row: DequantizeLinear gives what the codes stand for`, async () => {
      for (const cols of [32, 33]) {
        // without a zero point unsigned codes would count from 0
        for (const symmetric of signed ? [true, false] : [false]) {
          const args: QuantizationArgs = { ...base, scheme, strategy: 'channel', symmetric, signed };
          const { packed, values } = await quantize(weights(rows * cols), cols, args);
          const result = await run(
            { op: 'DequantizeLinear', domain: '', attributes: { axis: 0 } },
            undefined,
            await partsOf(args, rows, cols, packed),
            ['codes', 'scales', ...(symmetric ? [] : ['zero_points'])],
            {},
          );
          near(result, values);
        }
      }
    });
  }

  test(`${scheme}, signed groups: DequantizeLinear with a block size gives what the codes stand for`, async () => {
    const cols = 96;
    const args: QuantizationArgs = { ...base, scheme, group_size: 32, signed: true };
    const { packed, values } = await quantize(weights(rows * cols), cols, args);
    const parts = await partsOf(args, rows, cols, packed);
    const op = { op: 'DequantizeLinear', domain: '' as const, attributes: { axis: 1, block_size: 32 } };
    near(await run(op, undefined, parts, ['codes', 'scales'], {}), values);
  });
}

test.run();
