// ggml's blocks of 32 values with one scale, or a scale and a least value: twins of schemes/ggml/simple_blocks.ts. The
// block stands in VALUES.
import { VALUES } from './ggml_search';
import { BELOW_HALF, halfCodes } from './lanes';

const BLOCK_BYTES: usize = 128;

/** Stores a half float; false where it is infinite. */
// @ts-ignore: decorator
@inline
export function storeHalf(to: usize, x: f32): bool {
  const code = i32x4.extract_lane(halfCodes(f32x4.splat(x)), 0);
  store<u16>(to, <u16>code);
  return (code & 0x7c00) != 0x7c00;
}

// ------------------------------------------------------------------ range

let highest: f32 = 0;
let lowest: f32 = 0;

/** Notes the greatest and the least value; of zeros either may be told. */
function noteRange(): void {
  let high = v128.load(VALUES);
  let low = high;
  for (let at = VALUES + 16; at < VALUES + BLOCK_BYTES; at += 16) {
    high = f32x4.pmax(high, v128.load(at));
    low = f32x4.pmin(low, v128.load(at));
  }
  high = f32x4.pmax(high, v128.shuffle<i32>(high, high, 2, 3, 0, 1));
  low = f32x4.pmin(low, v128.shuffle<i32>(low, low, 2, 3, 0, 1));
  highest = max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1));
  lowest = min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1));
}

/** The first value of a magnitude. */
function firstOf(magnitude: f32): f32 {
  let at = VALUES;
  while (abs(load<f32>(at)) != magnitude) at += 4;
  return load<f32>(at);
}

/** The value of the greatest magnitude, the first of equals; 0 of zeros. */
function extreme(): f32 {
  noteRange();
  if (highest == -lowest) return highest == 0 ? 0 : firstOf(highest);
  return highest > -lowest ? highest : lowest;
}

/** The least value, the first of zeros of either sign. */
// @ts-ignore: decorator
@inline
function least(): f32 {
  return lowest == 0 ? firstOf(0) : lowest;
}

// ------------------------------------------------------------------ codes

/** What is no number, or infinite, becomes 0, as C's (int8_t)x has it on x86. */
// @ts-ignore: decorator
@inline
function finiteOr0(x: v128): v128 {
  return v128.and(x, f32x4.lt(f32x4.abs(x), f32x4.splat(2147483648)));
}

/** Codes 0 to `most` of the four values at `at`: (x - base) * inverse + offset, cut off. */
// @ts-ignore: decorator
@inline
function fourCodes(at: usize, base: v128, inverse: v128, offset: f32, most: f32): v128 {
  const exact = f32x4.add(f32x4.mul(f32x4.sub(v128.load(at), base), inverse), f32x4.splat(offset));
  return i32x4.trunc_sat_f32x4_s(f32x4.pmin(f32x4.splat(most), finiteOr0(exact)));
}

/** Codes of sixteen values as bytes. */
// @ts-ignore: decorator
@inline
function sixteenCodes(at: usize, base: v128, inverse: v128, offset: f32, most: f32): v128 {
  const first = i16x8.narrow_i32x4_s(
    fourCodes(at, base, inverse, offset, most),
    fourCodes(at + 16, base, inverse, offset, most),
  );
  const second = i16x8.narrow_i32x4_s(
    fourCodes(at + 32, base, inverse, offset, most),
    fourCodes(at + 48, base, inverse, offset, most),
  );
  return i8x16.narrow_i16x8_u(first, second);
}

/** Low four bits to the nibbles at `nibbles`; fifth bits, one for each value, to `fifth` unless that is 0. */
// @ts-ignore: decorator
@inline
function storeCodes(base: f32, inverse: f32, offset: f32, most: f32, nibbles: usize, fifth: usize): void {
  const bases = f32x4.splat(base);
  const inverses = f32x4.splat(inverse);
  const low = sixteenCodes(VALUES, bases, inverses, offset, most);
  const high = sixteenCodes(VALUES + 64, bases, inverses, offset, most);
  const mask = i8x16.splat(15);
  v128.store(nibbles, v128.or(v128.and(low, mask), i16x8.shl(v128.and(high, mask), 4)));
  if (fifth == 0) return;
  store<u16>(fifth, <u16>i8x16.bitmask(i16x8.shl(low, 3)));
  store<u16>(fifth, <u16>i8x16.bitmask(i16x8.shl(high, 3)), 2);
}

export function encodeQ4_0(to: usize): bool {
  const d = extreme() / <f32>-8;
  storeCodes(0, d != 0 ? <f32>1 / d : 0, 8.5, 15, to + 2, 0);
  return storeHalf(to, d);
}

export function encodeQ5_0(to: usize): bool {
  const d = extreme() / <f32>-16;
  storeCodes(0, d != 0 ? <f32>1 / d : 0, 16.5, 31, to + 6, to + 2);
  return storeHalf(to, d);
}

export function encodeQ4_1(to: usize): bool {
  noteRange();
  const base = least();
  const d = (highest - base) / <f32>15;
  storeCodes(base, d != 0 ? <f32>1 / d : 0, 0.5, 15, to + 4, 0);
  const fits = storeHalf(to, d);
  return storeHalf(to + 2, base) && fits;
}

export function encodeQ5_1(to: usize): bool {
  noteRange();
  const base = least();
  const d = (highest - base) / <f32>31;
  storeCodes(base, d != 0 ? <f32>1 / d : 0, 0.5, 31, to + 8, to + 4);
  const fits = storeHalf(to, d);
  return storeHalf(to + 2, base) && fits;
}

/** Signed codes of four values, halves away from zero. */
// @ts-ignore: decorator
@inline
function fourSigned(at: usize, inverse: v128): v128 {
  const x = finiteOr0(f32x4.mul(v128.load(at), inverse));
  const rounded = f32x4.floor(f32x4.add(f32x4.abs(x), f32x4.splat(BELOW_HALF)));
  const sign = v128.and(x, i32x4.splat(i32.MIN_VALUE));
  return i32x4.trunc_sat_f32x4_s(v128.or(rounded, sign));
}

export function encodeQ8_0(to: usize): bool {
  noteRange();
  const d = max(highest, -lowest) / <f32>127;
  const inverse = f32x4.splat(d != 0 ? <f32>1 / d : 0);
  for (let i: usize = 0; i < 32; i += 16) {
    const at = VALUES + 4 * i;
    const first = i16x8.narrow_i32x4_s(fourSigned(at, inverse), fourSigned(at + 16, inverse));
    const second = i16x8.narrow_i32x4_s(fourSigned(at + 32, inverse), fourSigned(at + 48, inverse));
    v128.store(to + 2 + i, i8x16.narrow_i16x8_s(first, second));
  }
  return storeHalf(to, d);
}
