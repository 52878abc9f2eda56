import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bf16ToFloat32,
  bitsOf,
  DTYPE_BITS,
  type Dtype,
  FLOAT_DTYPES,
  f8e4m3fnuzToFloat32,
  f8e4m3ToFloat32,
  f8e5m2fnuzToFloat32,
  f8e5m2ToFloat32,
  f8e8m0ToFloat32,
  f16ToFloat32,
  float32ToBf16,
  float32ToF8e4m3,
  float32ToF8e5m2,
  float32ToF16,
  floatOf,
  SAFETENSORS_DTYPES,
  widen,
} from '../../src/core/dtype.js';

/** A binary float by its definition: what every code stands for, and which codes are special. */
interface Format {
  name: string;
  bits: number;
  mantissaBits: number;
  bias: number;
  decode(code: number): number;
  encode?(x: number): number;
  /** Meaning of a magnitude that is no number, by IEEE or by the format's own rule. */
  special(magnitude: number, negative: boolean): number | undefined;
  /** Code of what lies beyond the largest finite value. */
  overflow?: 'infinity' | 'saturates';
}

const ieee = (largest: number) => (magnitude: number, negative: boolean) =>
  magnitude <= largest ? undefined : magnitude === largest + 1 ? (negative ? -Infinity : Infinity) : Number.NaN;
const fnuz = (magnitude: number, negative: boolean) => (magnitude === 0 && negative ? Number.NaN : undefined);

const FORMATS: Format[] = [
  {
    name: 'F16',
    bits: 16,
    mantissaBits: 10,
    bias: 15,
    decode: f16ToFloat32,
    encode: float32ToF16,
    special: ieee(0x7bff),
    overflow: 'infinity',
  },
  {
    name: 'BF16',
    bits: 16,
    mantissaBits: 7,
    bias: 127,
    decode: bf16ToFloat32,
    encode: float32ToBf16,
    special: ieee(0x7f7f),
    overflow: 'infinity',
  },
  {
    name: 'F8_E4M3',
    bits: 8,
    mantissaBits: 3,
    bias: 7,
    decode: f8e4m3ToFloat32,
    encode: float32ToF8e4m3,
    special: (m) => (m === 0x7f ? Number.NaN : undefined),
    overflow: 'saturates',
  },
  {
    name: 'F8_E5M2',
    bits: 8,
    mantissaBits: 2,
    bias: 15,
    decode: f8e5m2ToFloat32,
    encode: float32ToF8e5m2,
    special: ieee(0x7b),
    overflow: 'saturates',
  },
  { name: 'F8_E4M3FNUZ', bits: 8, mantissaBits: 3, bias: 8, decode: f8e4m3fnuzToFloat32, special: fnuz },
  { name: 'F8_E5M2FNUZ', bits: 8, mantissaBits: 2, bias: 16, decode: f8e5m2fnuzToFloat32, special: fnuz },
];

/** The value of a code, from integers: significand * 2^exponent. */
function meaning({ bits, mantissaBits, bias, special }: Format, code: number): number {
  const negative = code >= 2 ** (bits - 1);
  const magnitude = code % 2 ** (bits - 1);
  const exceptional = special(magnitude, negative);
  if (exceptional !== undefined) return exceptional;
  const exponent = Math.floor(magnitude / 2 ** mantissaBits);
  const fraction = magnitude % 2 ** mantissaBits;
  const significand = exponent === 0 ? fraction : fraction + 2 ** mantissaBits;
  const value = significand * 2 ** (Math.max(exponent, 1) - bias - mantissaBits);
  return negative ? -value : value;
}

const magnitudeCodes = ({ bits }: Format) => Array.from({ length: 2 ** (bits - 1) }, (_, code) => code);
const hex = (code: number) => `0x${code.toString(16)}`;

for (const format of FORMATS) {
  const { name, bits, decode, encode } = format;
  const sign = 2 ** (bits - 1);

  test(`${name}: every code means what the format says`, () => {
    for (let code = 0; code < 2 ** bits; code++) {
      assert.ok(
        Object.is(decode(code), meaning(format, code)),
        `${hex(code)}: ${decode(code)}, not ${meaning(format, code)}`,
      );
    }
  });

  if (!encode) continue;
  const finite = magnitudeCodes(format).filter((code) => Number.isFinite(meaning(format, code)));

  test(`${name}: every finite code comes back`, () => {
    for (const code of finite) {
      assert.is(encode(decode(code)), code, hex(code));
      assert.is(encode(decode(code + sign)), code + sign, hex(code + sign));
    }
  });

  // Rounding is monotonic, so that the float32 values around each midpoint settle all the others.
  test(`${name}: nearest between every two neighbours, ties to even, both signs`, () => {
    for (const [index, lower] of finite.slice(0, -1).entries()) {
      const upper = finite[index + 1];
      const middle = (meaning(format, lower) + meaning(format, upper)) / 2;
      assert.is(Math.fround(middle), middle, 'a midpoint is a float32');
      const even = lower % 2 === 0 ? lower : upper;
      for (const negative of [0, 1]) {
        const towards = (x: number) => encode(negative ? -x : x) - negative * sign;
        assert.is(towards(middle), even, `tie above ${hex(lower)}`);
        assert.is(towards(floatOf(bitsOf(middle) - 1)), lower, `below the tie above ${hex(lower)}`);
        assert.is(towards(floatOf(bitsOf(middle) + 1)), upper, `above the tie above ${hex(lower)}`);
      }
    }
  });

  test(`${name}: beyond the largest`, () => {
    const largest = finite[finite.length - 1];
    const below = finite[finite.length - 2];
    // where the next value would be if the format went on
    const tie = meaning(format, largest) + (meaning(format, largest) - meaning(format, below)) / 2;
    const beyond = format.overflow === 'infinity' ? largest + 1 : largest;
    assert.is(encode(floatOf(bitsOf(tie) - 1)), largest);
    for (const x of [tie, 3.4e38, Number.POSITIVE_INFINITY]) {
      assert.is(encode(x), beyond, String(x));
      assert.is(encode(-x), beyond + sign, String(-x));
    }
    assert.ok(Number.isNaN(decode(encode(Number.NaN))));
  });
}

test('F8_E8M0: a power of two for each code, NaN at the end', () => {
  for (let code = 0; code < 255; code++) assert.is(f8e8m0ToFloat32(code), 2 ** (code - 127));
  assert.ok(Number.isNaN(f8e8m0ToFloat32(255)));
});

test('published values', () => {
  // IEEE 754 binary16; "FP8 Formats for Deep Learning" (arXiv 2209.05433), table 1
  assert.is(f16ToFloat32(0x3555), 0.333251953125);
  assert.is(f16ToFloat32(0x7bff), 65504);
  assert.is(f16ToFloat32(0x0001), 2 ** -24);
  assert.is(f8e4m3ToFloat32(0x7e), 448);
  assert.is(f8e4m3ToFloat32(0x08), 2 ** -6);
  assert.is(f8e4m3ToFloat32(0x01), 2 ** -9);
  assert.is(f8e5m2ToFloat32(0x7b), 57344);
  assert.is(f8e5m2ToFloat32(0x04), 2 ** -14);
  assert.is(f8e5m2ToFloat32(0x01), 2 ** -16);
  assert.is(f8e4m3fnuzToFloat32(0x7f), 240);
  assert.is(f8e5m2fnuzToFloat32(0x7f), 57344);
  assert.is(bf16ToFloat32(0x4049), 3.140625);
});

test('bfloat16 of any float32 is one of the two beside it, the nearer one', () => {
  const anyFloat = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(floatOf);
  fc.assert(
    fc.property(anyFloat, (x) => {
      const code = float32ToBf16(x);
      if (Number.isNaN(x)) assert.ok(Number.isNaN(bf16ToFloat32(code)));
      if (!Number.isFinite(x) || (code & 0x7f80) === 0x7f80) return;
      const distance = Math.abs(bf16ToFloat32(code) - x);
      for (const other of [code - 1, code + 1]) {
        const neighbour = bf16ToFloat32(other & 0xffff);
        if (Number.isFinite(neighbour)) assert.ok(Math.abs(neighbour - x) >= distance);
      }
    }),
    { numRuns: 5000 },
  );
});

for (const dtype of FLOAT_DTYPES) {
  test(`widen: ${dtype}, little-endian, at any offset`, () => {
    const numbers = dtype === 'F8_E8M0' ? [1, 2, 0.5, 2 ** -127] : [1, 0, 0.5, 0.25];
    const bytes = new Uint8Array((4 * DTYPE_BITS[dtype]) / 8 + 1);
    const view = new DataView(bytes.buffer, 1);
    for (const [i, x] of numbers.entries()) write(dtype, view, i, x);
    const out = new Float32Array(4);
    widen(dtype, bytes.subarray(1), out);
    assert.equal([...out], numbers);
  });
}

/** Writes 0 or a power of two. */
function write(dtype: Dtype, view: DataView, index: number, x: number): void {
  const format = FORMATS.find(({ name }) => name === dtype);
  if (dtype === 'F64') view.setFloat64(8 * index, x, true);
  else if (dtype === 'F32') view.setFloat32(4 * index, x, true);
  else if (dtype === 'F8_E8M0') view.setUint8(index, Math.log2(x) + 127);
  else if (format) {
    const code = x === 0 ? 0 : (Math.log2(x) + format.bias) << format.mantissaBits;
    if (format.bits === 16) view.setUint16(2 * index, code, true);
    else view.setUint8(index, code);
  }
}

test('a dtype that is no float is no source', () => {
  for (const dtype of SAFETENSORS_DTYPES.filter((each) => !FLOAT_DTYPES.includes(each))) {
    assert.throws(() => widen(dtype, new Uint8Array(8), new Float32Array(1)), /is no float/);
  }
});

test.run();
