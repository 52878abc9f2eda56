import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { f8e4m3ToFloat32 } from '../../src/core/dtype.js';
import { UsageError } from '../../src/core/errors.js';
import type { Packed, QuantizationArgs, Scheme } from '../../src/core/scheme.js';
import { E2M1_VALUES, float32ToE2m1 } from '../../src/schemes/arithmetic/group_scaled_float.js';
import mxfp4 from '../../src/schemes/mxfp4.js';
import nvfp4 from '../../src/schemes/nvfp4.js';

function quantize(scheme: Scheme, values: Float32Array, cols: number, args = scheme.defaults): Packed {
  const parts = scheme.layout(values.length / cols, cols, args);
  const out = Object.fromEntries(Object.entries(parts).map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
  scheme.quantize(values, cols, args, out);
  return out;
}

function restore(scheme: Scheme, packed: Packed, rows: number, cols: number, args = scheme.defaults): Float32Array {
  const out = new Float32Array(rows * cols);
  scheme.dequantize(packed, rows, cols, args, out);
  return out;
}

const nibbles = (codes: Uint8Array) => [...codes].flatMap((byte) => [byte & 15, byte >> 4]);
const float = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);

test('E2M1 rounds to nearest, ties to the even code, and saturates', () => {
  const ties = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5];
  assert.equal(ties.map(float32ToE2m1), [0, 2, 2, 4, 4, 6, 6]);
  const above = ties.map((x) => x * (1 + 2 ** -23));
  assert.equal(above.map(float32ToE2m1), [1, 2, 3, 4, 5, 6, 7]);
  const below = ties.map((x) => x * (1 - 2 ** -23));
  assert.equal(below.map(float32ToE2m1), [0, 1, 2, 3, 4, 5, 6]);
  assert.equal([1e30, -1e30, -0.1, 0, -0].map(float32ToE2m1), [7, 15, 8, 0, 0]);
  for (const [code, value] of E2M1_VALUES.entries()) assert.is(float32ToE2m1(value), Object.is(value, -0) ? 0 : code);
});

test('mxfp4: the exponent of the greatest magnitude less two, a mantissa of 1.75 counted up', () => {
  const codeFor = (amax: number) => quantize(mxfp4, Float32Array.of(amax, 0), 2).scales[0];
  assert.equal([4, 6, 6.97, 7, 7.9, 8, -6].map(codeFor), [127, 127, 127, 128, 128, 128, 127]);
  assert.equal([0, 2 ** -140, 2 ** -126].map(codeFor), [0, 0, 0]);
  assert.is(codeFor(3.4e38), 253);
});

test('mxfp4: codes and scales worked by hand, the even column in the low nibble', () => {
  // 33 columns: a group of 32 and one of 1, and half a byte left over
  const row = new Float32Array(33);
  row.set([6, -5, 3.5, 0.3, -0.1, 1.25]);
  row[32] = -0.75;
  const packed = quantize(mxfp4, row, 33);
  assert.equal([...packed.scales], [127, 124]);
  assert.equal(nibbles(packed.codes).slice(0, 6), [7, 14, 6, 1, 8, 2]);
  assert.equal(nibbles(packed.codes).slice(32), [15, 0]);
  assert.equal([...restore(mxfp4, packed, 1, 33).subarray(0, 6)], [6, -4, 4, 0.5, -0, 1]);
  assert.is(restore(mxfp4, packed, 1, 33)[32], -0.75);
});

test('nvfp4: scales of scales worked by hand', () => {
  // amax 12: G = 2688 / 12 = 224; groups with 12 and 0.9: E4M3(224 * 2) = 448, E4M3(224 * 0.15 = 33.6) = 32 (0x60)
  const row = new Float32Array(32);
  row.set([12, -6, 1.1, 3]);
  row.set([0.9, -0.143, 0.3], 16);
  const packed = quantize(nvfp4, row, 32);
  assert.is(float(packed.global_scale), 224);
  assert.equal([...packed.scales], [0x7e, 0x60]);
  // first group: a step of 2; second: 32 / 224 = 1 / 7, so that 0.9 is 6.3, -0.143 is -1.001 and 0.3 is 2.1
  assert.equal(nibbles(packed.codes).slice(0, 4), [7, 13, 1, 3]);
  assert.equal(nibbles(packed.codes).slice(16, 20), [7, 10, 4, 0]);
  const seventh = Math.fround(1 / 7);
  assert.equal(
    [...restore(nvfp4, packed, 1, 32).subarray(16, 19)],
    [6, -1, 2].map((x) => Math.fround(x * seventh)),
  );
});

test('nvfp4: a group too small for the smallest scale gets 0.125, a tensor of zeros G = 1', () => {
  const row = new Float32Array(32);
  row[0] = 1;
  row[16] = 1e-9;
  assert.is(f8e4m3ToFloat32(quantize(nvfp4, row, 32).scales[1]), 0.125);
  assert.is(float(quantize(nvfp4, new Float32Array(32), 32).global_scale), 1);
  assert.ok(Number.isFinite(float(quantize(nvfp4, new Float32Array(32).fill(1e-37), 32).global_scale)));
});

test('nvfp4: rows one by one equal the whole tensor once its greatest magnitude is known', () => {
  assert.is(nvfp4.rowQuantum(nvfp4.defaults), Number.POSITIVE_INFINITY);
  const values = Float32Array.from({ length: 5 * 40 }, (_, i) => Math.sin(i * i) * (i + 1));
  const whole = quantize(nvfp4, values, 40);
  const args: QuantizationArgs = { ...nvfp4.defaults, amax: values.reduce((a, x) => Math.max(a, Math.abs(x)), 0) };
  assert.is(nvfp4.rowQuantum(args), 1);
  for (let row = 0; row < 5; row++) {
    const part = quantize(nvfp4, values.subarray(row * 40, row * 40 + 40), 40, args);
    assert.equal(part.codes, whole.codes.subarray(row * 20, row * 20 + 20));
    assert.equal(part.scales, whole.scales.subarray(row * 3, row * 3 + 3));
    assert.equal(part.global_scale, whole.global_scale);
  }
});

const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e4), max: Math.fround(1e4) });
const matrix = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 70 }))
  .chain(([rows, cols]) =>
    fc.tuple(fc.constant(cols), fc.array(finite, { minLength: rows * cols, maxLength: rows * cols })),
  );

for (const [id, scheme] of Object.entries({ mxfp4, nvfp4 })) {
  const group = scheme.defaults.group_size as number;

  test(`${id}: what it gives is what it takes: quantizing the values again keeps them`, () => {
    fc.assert(
      fc.property(matrix, ([cols, numbers]) => {
        const rows = numbers.length / cols;
        // the largest magnitude of E2M1 stands in every group, so that the scale is the same again
        const values = Float32Array.from(numbers, (x, i) => ((i % cols) % group === 0 ? 1e4 : x));
        const once = restore(scheme, quantize(scheme, values, cols), rows, cols);
        const twice = restore(scheme, quantize(scheme, once, cols), rows, cols);
        for (const [i, x] of once.entries()) assert.ok(Math.abs(twice[i] - x) <= Math.abs(x) * 2 ** -22, `${x}`);
      }),
    );
  });

  test(`${id}: the searched scale is never worse, group by group`, () => {
    fc.assert(
      fc.property(matrix, ([cols, numbers]) => {
        const rows = numbers.length / cols;
        const values = Float32Array.from(numbers);
        const errors = (algorithm: 'rtn' | 'mse') => {
          const args: QuantizationArgs = { ...scheme.defaults, algorithm };
          const restored = restore(scheme, quantize(scheme, values, cols, args), rows, cols, args);
          return restored.map((x, i) => (x - values[i]) ** 2);
        };
        const [usual, searched] = [errors('rtn'), errors('mse')];
        for (let row = 0; row < rows; row++) {
          for (let from = 0; from < cols; from += group) {
            const sum = (all: Float32Array) =>
              all.subarray(row * cols + from, row * cols + Math.min(cols, from + group)).reduce((a, x) => a + x, 0);
            assert.ok(sum(searched) <= sum(usual) * (1 + 1e-5) + 1e-30, `${sum(searched)} > ${sum(usual)}`);
          }
        }
      }),
    );
  });

  test(`${id}: settings that it does not have are refused`, () => {
    for (const wrong of [
      { symmetric: false },
      { strategy: 'channel' },
      { group_size: 64 },
      { scale_dtype: 'F32' },
      { algorithm: 'hqq' },
    ]) {
      assert.throws(
        () => scheme.check({ ...scheme.defaults, ...wrong } as QuantizationArgs),
        (error: Error) => error instanceof UsageError,
      );
    }
  });
}

test.run();
