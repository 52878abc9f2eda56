import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { widen } from '../../src/core/dtype.js';
import type { Packed, QuantizationArgs } from '../../src/core/scheme.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { find } from '../../src/registry.js';
import { slopeOf } from '../../src/schemes/arithmetic/half_quadratic.js';

const folder = fileURLToPath(new URL('../../fixtures/union-1.8m', import.meta.url));
const checkpoint = openCheckpoint(folder);

/** Rows of a matrix of the trained model. */
function trained(name: string, rows: number): { values: Float32Array; cols: number } {
  const { file, offset, shape } = checkpoint.tensors.get(name)!;
  const cols = shape[1];
  const values = new Float32Array(rows * cols);
  widen('BF16', readFileSync(join(folder, file.split('/').at(-1)!)).subarray(offset, offset + 2 * rows * cols), values);
  return { values, cols };
}
const MATRICES = [
  trained('model.layers.1.mlp.down_proj.weight', 48),
  trained('model.layers.2.self_attn.q_proj.weight', 64),
  trained('model.embed_tokens.weight', 96),
];

const base: QuantizationArgs = {
  scheme: 'int4',
  strategy: 'group',
  group_size: 32,
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'rtn',
};

async function roundTrip(values: Float32Array, cols: number, args: QuantizationArgs) {
  const scheme = (await find('schemes', args.scheme))!;
  scheme.check(args);
  const rows = values.length / cols;
  const packed: Packed = {};
  for (const [part, { nbytes }] of Object.entries(scheme.layout(rows, cols, args)))
    packed[part] = new Uint8Array(nbytes);
  scheme.quantize(values, cols, args, packed);
  const back = new Float32Array(values.length);
  scheme.dequantize(packed, rows, cols, args, back);
  return { packed, back };
}

type Cost = (rest: number, x: number, rms: number) => number;
const squared: Cost = (rest) => rest * rest;
/** ggml's and ONNX Runtime's weights: |x| and the root mean square of the group. */
const weighted: Cost = (rest, x, rms) => (Math.abs(x) + rms) * rest * rest;
const norm: Cost = (rest) => Math.abs(rest) ** 0.7;

/** Cost of all matrices, groups of a row one by one. */
function costOf(cost: Cost, size: number, approximate: (group: Float32Array) => ArrayLike<number>): number {
  let total = 0;
  for (const { values, cols } of MATRICES) {
    for (let from = 0; from < values.length; from += Math.min(size, cols - (from % cols))) {
      const group = values.subarray(from, from + Math.min(size, cols - (from % cols)));
      const back = approximate(group);
      const rms = Math.sqrt(group.reduce((sum, x) => sum + x * x, 0) / group.length);
      for (let i = 0; i < group.length; i++) total += cost(group[i] - back[i], group[i], rms);
    }
  }
  return total;
}

async function cost(measure: Cost, args: QuantizationArgs): Promise<number> {
  const backs = new Map<number, Float32Array>();
  for (const { values, cols } of MATRICES) backs.set(values.length, (await roundTrip(values, cols, args)).back);
  const size = args.strategy === 'channel' ? 1e9 : (args.group_size as number);
  return costOf(measure, size, (group) => {
    const whole = backs.get(group.buffer.byteLength / 4)!;
    return whole.subarray(group.byteOffset / 4, group.byteOffset / 4 + group.length);
  });
}

const clamp = (x: number, low: number, high: number) => Math.max(low, Math.min(high, x));

/** Symmetric 4-bit groups by the best of 134 scales with a least-squares refit, in float64. */
function exhaustive(group: Float32Array): number[] {
  const extreme = group.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
  if (extreme === 0) return [...group];
  let best = { gain: -1, scale: 0 };
  for (let steps = 6; steps < 10; steps += 0.03) {
    const codes = [...group].map((x) => clamp(Math.round((-x * steps) / extreme), -8, 7));
    const products = codes.reduce((sum, q, i) => sum + q * group[i], 0);
    const squares = codes.reduce((sum, q) => sum + q * q, 0);
    if (products ** 2 / squares > best.gain) best = { gain: products ** 2 / squares, scale: products / squares };
  }
  return [...group].map((x) => clamp(Math.round(x / best.scale), -8, 7) * best.scale);
}

/** ONNX Runtime's quant_tensor_k_quant_cpu (matmul_nbits_quantizer.py), in float64. */
function kQuant(group: Float32Array): number[] {
  const x = [...group];
  const rms = Math.sqrt(x.reduce((sum, each) => sum + each * each, 0) / x.length);
  const w = x.map((each) => rms + Math.abs(each));
  const [low, high] = [Math.min(...x), Math.max(...x)];
  if (low === high) return x;
  const sum = (of: (i: number) => number) => x.reduce((total, _, i) => total + of(i), 0);
  const codesFor = (steps: number, min: number) =>
    x.map((each) => clamp(Math.round((steps / (high - low)) * (each - min)), 0, 15));
  const error = (q: number[], scale: number, min: number) => sum((i) => w[i] * (scale * q[i] + min - x[i]) ** 2);
  let [scale, min] = [(high - low) / 15, low];
  let least = error(codesFor(15, min), scale, min);
  const [sumW, sumX] = [sum((i) => w[i]), sum((i) => w[i] * x[i])];
  for (let step = 0; step < 20; step++) {
    const q = codesFor(14 + 0.1 * step, min);
    const [l, l2, xl] = [sum((i) => w[i] * q[i]), sum((i) => w[i] * q[i] ** 2), sum((i) => w[i] * q[i] * x[i])];
    const d = sumW * l2 - l * l;
    const [s, m] = [(sumW * xl - sumX * l) / d, (l2 * sumX - l * xl) / d];
    if (!(error(q, s, m) < least)) continue;
    least = error(q, s, m);
    [scale, min] = [s, m];
  }
  const zero = clamp(Math.round(-min / scale), 0, 15);
  return x.map((each) => (clamp(Math.round(each / scale + zero), 0, 15) - zero) * scale);
}

for (const group_size of [16, 32, 64, 128]) {
  test(`mse, groups of ${group_size}: close to the best of many scales on trained weights, far below rounding`, async () => {
    const args: QuantizationArgs = { ...base, group_size };
    const plain = await cost(squared, args);
    const searched = await cost(squared, { ...args, algorithm: 'mse' });
    const best = costOf(squared, group_size, exhaustive);
    assert.ok(best < 0.92 * plain, `${best / plain}`);
    assert.ok(searched < 1.03 * best, `${searched / best} of the best`);
  });

  test(`kquant, groups of ${group_size}: its own weighted error is below ONNX Runtime's k_quant`, async () => {
    const args: QuantizationArgs = { ...base, group_size, symmetric: false, algorithm: 'kquant' };
    const theirs = costOf(weighted, group_size, kQuant);
    const ours = await cost(weighted, args);
    assert.ok(ours < theirs, `${ours / theirs} of theirs`);
    assert.ok(ours < (await cost(weighted, { ...args, algorithm: 'rtn' })));
  });
}

test('every algorithm lessens what it minimises, whatever the grid', async () => {
  const aims = { mse: squared, kquant: weighted, hqq: norm };
  for (const scheme of ['int4', 'int8']) {
    for (const extent of [{ strategy: 'group' as const, group_size: 64 }, { strategy: 'channel' as const }]) {
      for (const symmetric of [true, false]) {
        for (const [algorithm, aim] of Object.entries(aims)) {
          const { group_size: _, ...ungrouped } = base;
          const args: QuantizationArgs = { ...ungrouped, ...extent, scheme, symmetric };
          const plain = await cost(aim, args);
          const searched = await cost(aim, { ...args, algorithm: algorithm as QuantizationArgs['algorithm'] });
          assert.ok(searched < plain, `${scheme} ${extent.strategy} ${symmetric} ${algorithm}: ${searched / plain}`);
        }
      }
    }
  }
});

test('weights that stand on a grid keep their codes, and zeros stay zeros', async () => {
  const cols = 64;
  for (const algorithm of ['mse', 'kquant', 'hqq'] as const) {
    for (const symmetric of [true, false]) {
      const args: QuantizationArgs = { ...base, symmetric, algorithm };
      const codes = Array.from({ length: 3 * cols }, (_, i) => (i % 16) - 8);
      const values = Float32Array.from(codes, (code, i) => (i < 2 * cols ? code * 0.01171875 : 0));
      const { back } = await roundTrip(values, cols, args);
      for (let i = 0; i < values.length; i++) {
        assert.ok(
          Math.abs(back[i] - values[i]) <= 2e-4 * Math.abs(values[i]),
          `${algorithm} ${symmetric} ${i}: ${back[i]}`,
        );
      }
    }
  }
});

test('signed symmetric codes have scales above 0, whatever the algorithm', async () => {
  for (const algorithm of ['mse', 'kquant', 'hqq'] as const) {
    for (const { values, cols } of MATRICES) {
      const { packed } = await roundTrip(values, cols, { ...base, signed: true, algorithm });
      const scales = new Float32Array(packed.scales.buffer);
      assert.ok(scales.every((scale) => scale > 0));
    }
  }
});

test('the slope of hqq is x^-0.3 as closely as it says', () => {
  for (let exponent = -20; exponent < 20; exponent++) {
    for (let step = 0; step < 1000; step++) {
      const x = Math.fround(2 ** exponent * (1 + step / 1000));
      const off = slopeOf(x) * x ** 0.3 - 1;
      assert.ok(Math.abs(off) < 6e-5, `${x}: ${off}`);
    }
  }
});

test('the default is mse', async () => {
  for (const id of ['int4', 'int8']) assert.is((await find('schemes', id))!.defaults.algorithm, 'mse');
});

test.run();
