import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { f8e4m3ToFloat32, f8e5m2ToFloat32 } from '../../src/core/dtype.js';
import { UsageError } from '../../src/core/errors.js';
import { NonFiniteWeight, type Packed, type QuantizationArgs, type Scheme } from '../../src/core/scheme.js';
import e4m3 from '../../src/schemes/fp8_e4m3.js';
import e5m2 from '../../src/schemes/fp8_e5m2.js';

const FORMATS = [
  { id: 'fp8_e4m3', scheme: e4m3 as Scheme, largest: 448, decode: f8e4m3ToFloat32, mantissa: 3, least: 2 ** -9 },
  { id: 'fp8_e5m2', scheme: e5m2 as Scheme, largest: 57344, decode: f8e5m2ToFloat32, mantissa: 2, least: 2 ** -16 },
];

function quantize(scheme: Scheme, rows: number, values: Float32Array, args: QuantizationArgs): Packed {
  const cols = values.length / rows;
  const parts = scheme.layout(rows, cols, args);
  const out = Object.fromEntries(Object.entries(parts).map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
  scheme.quantize(values, cols, args, out);
  return out;
}

const floats = (bytes: Uint8Array) => new Float32Array(Uint8Array.from(bytes).buffer);
const argsOf = (scheme: Scheme, more: Partial<QuantizationArgs>): QuantizationArgs => ({ ...scheme.defaults, ...more });

test('fp8_e4m3 in blocks: codes and multipliers worked by hand', () => {
  // one block of 2 x 2 and its edges; 448 / 448 = 1, then 2^-9 steps below the normal numbers, ties to even
  const args = argsOf(e4m3, { strategy: 'block', block_structure: [2, 2] });
  const values = Float32Array.of(448, -17, 0.5 * 2 ** -9, 0, 18, 1.5 * 2 ** -9, 0, 896, 0);
  const packed = quantize(e4m3, 3, values, args);
  // rows 0 and 1, columns 0 and 1: 448, -17, 0, 18 over 1
  // column 2: 2^-10 and 1.5 * 2^-9: amax / 448 makes the larger one 448
  assert.equal(floats(packed.scales), Float32Array.of(1, (1.5 * 2 ** -9) / 448, 2, 1));
  // -17 is halfway between -16 and -18: to the even mantissa, -16 (0xd8); 18 is 0x59
  assert.is(packed.codes[0], 0x7e);
  assert.is(packed.codes[1], 0xd8);
  assert.is(packed.codes[3], 0x00);
  assert.is(packed.codes[4], 0x59);
  assert.is(packed.codes[5], 0x7e);
  // the last row: 896 / 448 = 2, and a block of zeros has 1
  assert.is(packed.codes[6], 0x00);
  assert.is(packed.codes[7], 0x7e);
  assert.is(packed.codes[8], 0x00);
});

test('scales as BF16 saturate where they are rounded down, as E8M0 never', () => {
  const values = Float32Array.of(449, -449, 1);
  const bf16 = quantize(e4m3, 1, values, argsOf(e4m3, { scale_dtype: 'BF16' }));
  // 449/448 = 1.00223 is 1 in bfloat16: 449 does not fit
  assert.equal([...bf16.scales], [0x80, 0x3f]);
  assert.equal([...bf16.codes.subarray(0, 2)], [0x7e, 0xfe]);
  const e8m0 = quantize(e4m3, 1, values, argsOf(e4m3, { scale_dtype: 'F8_E8M0' }));
  assert.equal([...e8m0.scales], [128]);
  const power = quantize(e4m3, 1, Float32Array.of(896, 1), argsOf(e4m3, { scale_dtype: 'F8_E8M0' }));
  assert.equal([...power.scales], [128]);
});

const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });
const matrix = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 9 }))
  .chain(([rows, cols]) =>
    fc.tuple(fc.constant(rows), fc.array(finite, { minLength: rows * cols, maxLength: rows * cols })),
  );
const strategies: Partial<QuantizationArgs>[] = [
  { strategy: 'tensor' },
  { strategy: 'channel' },
  { strategy: 'block', block_structure: [2, 4] },
  { strategy: 'block', block_structure: [128, 128], scale_dtype: 'F8_E8M0' },
];

for (const { id, scheme, largest, decode, mantissa, least } of FORMATS) {
  for (const strategy of strategies) {
    const args = argsOf(scheme, strategy);
    test(`${id} ${JSON.stringify(strategy)}: no value is off by more than half a step`, () => {
      fc.assert(
        fc.property(matrix, ([rows, numbers]) => {
          const values = Float32Array.from(numbers);
          const cols = values.length / rows;
          const packed = quantize(scheme, rows, values, args);
          const back = new Float32Array(values.length);
          scheme.dequantize(packed, rows, cols, args, back);
          for (const [i, x] of values.entries()) {
            const scale = back[i] === 0 ? undefined : back[i] / decode(packed.codes[i]);
            if (scale !== undefined && Number.isFinite(scale)) {
              const step = Math.max(Math.abs(x) * 2 ** -mantissa, least * scale);
              assert.ok(Math.abs(back[i] - x) <= step * 0.5000001, `${x} -> ${back[i]}`);
            }
            assert.ok(Math.abs(decode(packed.codes[i])) <= largest);
            assert.ok(Math.sign(back[i]) === 0 || Math.sign(back[i]) === Math.sign(x));
          }
        }),
      );
    });
  }

  test(`${id}: a whole tensor by rows, once its greatest magnitude is known`, () => {
    const values = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i) * (i + 1));
    const whole = quantize(scheme, 4, values, argsOf(scheme, { strategy: 'tensor' }));
    const amax = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const args = argsOf(scheme, { strategy: 'tensor', amax });
    assert.is(scheme.rowQuantum(args), 1);
    for (let row = 0; row < 4; row++) {
      const part = quantize(scheme, 1, values.subarray(6 * row, 6 * row + 6), args);
      assert.equal(part.scales, whole.scales);
      assert.equal(part.codes, whole.codes.subarray(6 * row, 6 * row + 6));
    }
  });

  test(`${id}: what is not finite is told with its place, what it cannot do is refused`, () => {
    try {
      quantize(scheme, 2, Float32Array.of(1, 2, 3, Number.NaN), scheme.defaults);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, NonFiniteWeight);
      assert.equal([(error as NonFiniteWeight).row, (error as NonFiniteWeight).column], [1, 1]);
    }
    for (const wrong of [
      { symmetric: false },
      { strategy: 'group' },
      { scale_dtype: 'F8_E4M3' },
      { algorithm: 'mse' },
    ]) {
      assert.throws(
        () => scheme.check(argsOf(scheme, wrong as Partial<QuantizationArgs>)),
        (error: Error) => error instanceof UsageError,
      );
    }
  });
}

test.run();
