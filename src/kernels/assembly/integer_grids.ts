// What quantizing to integers by groups and by rows share: ranges, grids and codes of up to eight groups at a time.
// Twin of schemes/arithmetic/integer_scheme.ts, algorithm `rtn`.
import {
  BELOW_HALF,
  BF16,
  brainCodes,
  bytesOf,
  evenValues,
  F16,
  F32,
  halfCodes,
  halfValues,
  MAGIC,
  MAGIC_BITS,
  oddValues,
} from './lanes';
import { widenHalves } from './widen';

/** Eight groups of at most 256 values, gathered where they do not lie side by side. */
export const INPUT: usize = memory.data(8 * 256 * 4, 16);
/** Codes and scales of a batch of fewer than eight groups, before they are copied out. */
export const CODES: usize = memory.data(8 * 256, 16);
export const SCALES: usize = memory.data(32, 16);
/** Per group of a batch: partial maxima and minima as raw bits, then 1 / scale and the zero point as float32. */
export const HIGHS: usize = memory.data(128, 16);
export const LOWS: usize = memory.data(128, 16);
const INVERSES: usize = memory.data(32, 16);
export const ZEROS: usize = memory.data(32, 16);
/** Per group of a batch: the greatest and the least value as float32, 0 included. */
export const HIGHEST: usize = memory.data(32, 16);
export const LOWEST: usize = memory.data(32, 16);

/** Settings of one call. */
export let bits: i32 = 4;
export let asymmetric: bool = false;
/** Whether scales must be above 0: those of signed symmetric codes. */
export let positive: bool = false;
/** The dtype of scales, by its number in lanes.ts. */
let scaleType: i32 = F32;
/** Put over codes and zero points: the sign bit of each where they are stored as two's complement. */
export let flip: i32 = 0;

/** Sets what one call asks for. `flipped` is 0, or 0x88 or 0x80 for codes in two's complement. */
export function integerSettings(width: i32, isSymmetric: bool, scaleDtype: i32, flipped: i32): void {
  bits = width;
  asymmetric = !isSymmetric;
  positive = isSymmetric && flipped != 0;
  scaleType = scaleDtype;
  flip = flipped;
}

// @ts-ignore: decorator
@inline
export function bytesOfScale(): usize {
  return bytesOf(scaleType);
}

// ------------------------------------------------------------------ range of a group, from raw bits

// Order of raw bits: as signed integers the maximum is the largest value, as unsigned ones the most negative.
// Starting at +0 and -0 includes 0 in the range. NaN and infinities stand beyond every finite value on either side.

// @ts-ignore: decorator
@inline
export function noteRange(dtype: i32, from: usize, nbytes: usize, slot: usize): void {
  let high = i32x4.splat(0);
  let low = dtype == BF16 ? i16x8.splat(i16.MIN_VALUE) : i32x4.splat(i32.MIN_VALUE);
  for (let at = from; at < from + nbytes; at += 32) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    if (dtype == BF16) {
      high = i16x8.max_s(high, i16x8.max_s(a, b));
      low = i16x8.max_u(low, i16x8.max_u(a, b));
    } else {
      high = i32x4.max_s(high, i32x4.max_s(a, b));
      low = i32x4.max_u(low, i32x4.max_u(a, b));
    }
  }
  v128.store(HIGHS + slot * 16, high);
  v128.store(LOWS + slot * 16, low);
}

// @ts-ignore: decorator
@inline
function max16(signed: bool, a: v128, b: v128): v128 {
  return signed ? i16x8.max_s(a, b) : i16x8.max_u(a, b);
}

// @ts-ignore: decorator
@inline
function fold16(signed: bool, a: v128, b: v128): v128 {
  return max16(
    signed,
    v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11),
    v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15),
  );
}

// @ts-ignore: decorator
@inline
function fold32(signed: bool, a: v128, b: v128): v128 {
  return max16(signed, v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
}

// @ts-ignore: decorator
@inline
function fold64(signed: bool, a: v128, b: v128): v128 {
  return max16(signed, v128.shuffle<i64>(a, b, 0, 2), v128.shuffle<i64>(a, b, 1, 3));
}

/** Eight vectors of eight 16-bit lanes to one: lane k is the maximum of vector k. */
// @ts-ignore: decorator
@inline
function fold8(signed: bool, at: usize): v128 {
  const a = fold16(signed, v128.load(at), v128.load(at, 16));
  const b = fold16(signed, v128.load(at, 32), v128.load(at, 48));
  const c = fold16(signed, v128.load(at, 64), v128.load(at, 80));
  const d = fold16(signed, v128.load(at, 96), v128.load(at, 112));
  return fold64(signed, fold32(signed, a, b), fold32(signed, c, d));
}

// @ts-ignore: decorator
@inline
function foldWide(signed: bool, a: v128, b: v128): v128 {
  const lower = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const upper = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  return signed ? i32x4.max_s(lower, upper) : i32x4.max_u(lower, upper);
}

/** Four vectors of four 32-bit lanes to one: lane k is the maximum of vector k. */
// @ts-ignore: decorator
@inline
function fold4(signed: bool, at: usize): v128 {
  const a = foldWide(signed, v128.load(at), v128.load(at, 16));
  const b = foldWide(signed, v128.load(at, 32), v128.load(at, 48));
  const lower = v128.shuffle<i64>(a, b, 0, 2);
  const upper = v128.shuffle<i64>(a, b, 1, 3);
  return signed ? i32x4.max_s(lower, upper) : i32x4.max_u(lower, upper);
}

// ------------------------------------------------------------------ grids of eight groups

/**
 * Writes the scales of four groups to `scales` as they are stored, notes 1 / scale and zero point; `slot` is 0 or 4.
 * Groups whose `mask` is 0 keep what they have.
 */
// @ts-ignore: decorator
@inline
export function storeGrids(exact: v128, zeroPoint: v128, mask: v128, slot: usize, scales: usize): void {
  const zero = f32x4.splat(0);
  let scale = exact;
  if (scaleType == F32) {
    if (positive) scale = v128.bitselect(f32x4.splat(1), scale, f32x4.eq(scale, zero));
    const to = scales + slot * 4;
    v128.store(to, v128.bitselect(scale, v128.load(to), mask));
  } else {
    let codes = scaleType == F16 ? halfCodes(scale) : brainCodes(scale);
    if (positive) codes = v128.bitselect(i32x4.splat(scaleType == F16 ? 0x3c00 : 0x3f80), codes, i32x4.eq(codes, zero));
    const to = scales + slot * 2;
    const narrow = i16x8.narrow_i32x4_u(codes, codes);
    const narrowMask = i16x8.narrow_i32x4_s(mask, mask);
    v128.store64_lane(to, v128.bitselect(narrow, v128.load64_zero(to), narrowMask), 0);
    scale = scaleType == F16 ? halfValues(codes) : i32x4.shl(codes, 16);
  }
  const inverse = v128.andnot(f32x4.div(f32x4.splat(1), scale), f32x4.eq(scale, zero));
  const at = INVERSES + slot * 4;
  v128.store(at, v128.bitselect(inverse, v128.load(at), mask));
  v128.store(ZEROS + slot * 4, v128.bitselect(zeroPoint, v128.load(ZEROS + slot * 4), mask));
}

/** Plain grids of four groups, see `storeGrids`. */
// @ts-ignore: decorator
@inline
function chooseGrids(high: v128, low: v128, slot: usize, scales: usize): void {
  const zero = f32x4.splat(0);
  const every = i32x4.splat(-1);
  const top = f32x4.splat(<f32>((1 << bits) - 1));
  v128.store(HIGHEST + slot * 4, high);
  v128.store(LOWEST + slot * 4, low);
  if (!asymmetric) {
    const middle = f32x4.splat(<f32>(1 << (bits - 1)));
    if (positive) {
      const extent = f32x4.max(high, f32x4.neg(low));
      storeGrids(f32x4.div(extent, f32x4.splat(bits == 4 ? 7.5 : 127.5)), middle, every, slot, scales);
    } else {
      // adding +0 turns the -0 of a group without negative values into the twin's +0
      const extreme = f32x4.add(v128.bitselect(high, low, f32x4.gt(high, f32x4.neg(low))), zero);
      const scale = f32x4.mul(extreme, f32x4.splat(bits == 4 ? -0.125 : -0.0078125));
      storeGrids(scale, middle, every, slot, scales);
    }
    return;
  }
  storeGrids(f32x4.div(f32x4.sub(high, low), top), zero, every, slot, scales);
  // min and max keep the NaN of 0 * infinity (1 / scale overflows for a subnormal scale), as the twin does
  const inverse = v128.load(INVERSES + slot * 4);
  const exact = f32x4.min(f32x4.max(f32x4.mul(f32x4.sub(zero, low), inverse), zero), top);
  v128.store(ZEROS + slot * 4, f32x4.floor(f32x4.add(exact, f32x4.splat(BELOW_HALF))));
}

/** Grids of the eight groups whose ranges are noted; false where one of them is not finite. */
// @ts-ignore: decorator
@inline
export function chooseBatch(dtype: i32, scales: usize): bool {
  if (dtype == BF16) {
    const high = fold8(true, HIGHS);
    const low = fold8(false, LOWS);
    const beyond = v128.or(i16x8.ge_s(high, i16x8.splat(0x7f80)), i16x8.ge_u(low, i16x8.splat(<i16>0xff80)));
    if (v128.any_true(beyond)) return false;
    const zero = i32x4.splat(0);
    chooseGrids(
      v128.shuffle<i16>(zero, high, 0, 8, 1, 9, 2, 10, 3, 11),
      v128.shuffle<i16>(zero, low, 0, 8, 1, 9, 2, 10, 3, 11),
      0,
      scales,
    );
    chooseGrids(
      v128.shuffle<i16>(zero, high, 4, 12, 5, 13, 6, 14, 7, 15),
      v128.shuffle<i16>(zero, low, 4, 12, 5, 13, 6, 14, 7, 15),
      4,
      scales,
    );
    return true;
  }
  for (let slot: usize = 0; slot < 8; slot += 4) {
    const high = fold4(true, HIGHS + slot * 16);
    const low = fold4(false, LOWS + slot * 16);
    const beyond = v128.or(i32x4.ge_s(high, i32x4.splat(0x7f800000)), i32x4.ge_u(low, i32x4.splat(0xff800000)));
    if (v128.any_true(beyond)) return false;
    chooseGrids(high, low, slot, scales);
  }
  return true;
}

// ------------------------------------------------------------------ codes

/**
 * Codes of four lanes, as float32 integers. Clamping before rounding changes no code, makes NaN 0 as in the twin, and
 * leaves t >= 0, where adding just under a half and flooring is rounding halves away from zero.
 */
// @ts-ignore: decorator
@inline
function codesOf(x: v128, inverse: v128, zeroPoint: v128, top: v128): v128 {
  const t = f32x4.add(f32x4.mul(x, inverse), zeroPoint);
  const clamped = f32x4.pmin(top, f32x4.pmax(f32x4.splat(0), t));
  return f32x4.floor(f32x4.add(clamped, f32x4.splat(BELOW_HALF)));
}

/** Eight values at `at`: four lanes that each hold a pair of neighbouring codes, the first one in the lower bits. */
// @ts-ignore: decorator
@inline
function pairsOf(dtype: i32, width: i32, at: usize, inverse: v128, zeroPoint: v128): v128 {
  const top = f32x4.splat(<f32>((1 << width) - 1));
  const even = codesOf(evenValues(dtype, at), inverse, zeroPoint, top);
  const odd = codesOf(oddValues(dtype, at), inverse, zeroPoint, top);
  const upper = f32x4.add(f32x4.mul(odd, f32x4.splat(<f32>(1 << width))), f32x4.splat(MAGIC));
  return i32x4.sub(f32x4.add(even, upper), i32x4.splat(MAGIC_BITS));
}

/** Codes of 16 values: as words of two where they are 4 bits wide, as bytes where they are 8. */
// @ts-ignore: decorator
@inline
function sixteenCodes(dtype: i32, width: i32, at: usize, inverse: v128, zeroPoint: v128): v128 {
  const a = pairsOf(dtype, width, at, inverse, zeroPoint);
  const b = pairsOf(dtype, width, at + 8 * bytesOf(dtype), inverse, zeroPoint);
  return width == 4 ? i16x8.narrow_i32x4_s(a, b) : i16x8.narrow_i32x4_u(a, b);
}

/** Codes of `count` values (a multiple of 16) on the grid of a batch's group. */
// @ts-ignore: decorator
@inline
export function encode(dtype: i32, width: i32, from: usize, count: usize, slot: usize, codes: usize): void {
  const inverse = v128.load32_splat(INVERSES + slot * 4);
  const zeroPoint = v128.load32_splat(ZEROS + slot * 4);
  const mask = i8x16.splat(<i8>flip);
  const sixteen = 16 * bytesOf(dtype);
  const end = from + (count >> 4) * sixteen;
  let to = codes;
  let at = from;
  for (; at + sixteen < end; at += 2 * sixteen) {
    const a = sixteenCodes(dtype, width, at, inverse, zeroPoint);
    const b = sixteenCodes(dtype, width, at + sixteen, inverse, zeroPoint);
    if (width == 4) {
      v128.store(to, v128.xor(i8x16.narrow_i16x8_u(a, b), mask));
      to += 16;
    } else {
      v128.store(to, v128.xor(a, mask));
      v128.store(to, v128.xor(b, mask), 16);
      to += 32;
    }
  }
  if (at == end) return;
  const a = sixteenCodes(dtype, width, at, inverse, zeroPoint);
  if (width == 4) v128.store_lane<u64>(to, v128.xor(i8x16.narrow_i16x8_u(a, a), mask), 0);
  else v128.store(to, v128.xor(a, mask));
}

/** Writes one code (already with its sign bit as it is stored) at an index of a packed part. */
export function setCode(part: usize, index: usize, code: i32): void {
  if (bits == 8) {
    store<u8>(part + index, code);
    return;
  }
  const at = part + (index >> 1);
  const shift = <i32>(index & 1) << 2;
  store<u8>(at, (<i32>load<u8>(at) & (0xf0 >> shift)) | (code << shift));
}

/** The zero point of a batch's group as it is stored. */
export function zeroPointCode(slot: usize): i32 {
  const signBit = (1 << (bits - 1)) & flip;
  const zeroPoint = load<f32>(ZEROS + slot * 4);
  return (isNaN(zeroPoint) ? 0 : <i32>zeroPoint) ^ signBit;
}

/** Copies values as they are stored, halves as float32. */
export function copyValues(dtype: i32, source: usize, count: usize, target: usize): void {
  if (dtype == F16) widenHalves(source, count, target);
  else memory.copy(target, source, count * bytesOf(dtype));
}
