// Values in fixed point for a search over scales, four groups at a time. Twin: schemes/arithmetic/scale_search.ts.
import { asymmetric, HIGHEST, LOWEST, positive } from './integer_grids';
import { BF16, bytesOf } from './lanes';
import { one, PIECE, weightShift } from './search_settings';

/**
 * Four groups in fixed point, i16: the first two values of each, then the next two, so that products of neighbours
 * summed up are four groups' sums in four lanes. A piece of one row fills all four.
 */
export const FIXED: usize = memory.data(4 * 512, 16);
export const WEIGHTS: usize = memory.data(4 * 512, 16);
/** Per group of a batch: factor to fixed point, what a unit of it is worth, twice the middle of the range. */
export const FACTORS: usize = memory.data(32, 16);
export const UNITS: usize = memory.data(32, 16);
export const MIDDLES: usize = memory.data(32, 16);

const SMALLEST_ANCHOR: f32 = 7.888609052210118e-31;
const TO_INTEGER: f32 = 12582912;
const TO_INTEGER_BITS: i32 = 0x4b400000;

/** An integer in the low bits, those of TO_INTEGER above it. */
// @ts-ignore: decorator
@inline
function rounded(x: v128, factor: v128): v128 {
  return f32x4.add(f32x4.mul(x, factor), f32x4.splat(TO_INTEGER));
}

/** Anchors of four groups whose ranges are known; `slot` is 0 or 4. Factor 0 where one cannot be searched. */
export function noteAnchors(slot: usize): void {
  const high = v128.load(HIGHEST + slot * 4);
  const low = v128.load(LOWEST + slot * 4);
  const extent = asymmetric ? f32x4.sub(high, low) : f32x4.max(high, f32x4.neg(low));
  const isUsable = v128.and(
    f32x4.ge(extent, f32x4.splat(SMALLEST_ANCHOR)),
    f32x4.le(extent, f32x4.splat(f32.MAX_VALUE)),
  );
  const isTurned = asymmetric || positive ? i32x4.splat(0) : f32x4.gt(high, f32x4.neg(low));
  const anchor = v128.xor(extent, v128.and(isTurned, i32x4.splat(i32.MIN_VALUE)));
  const factor = v128.and(f32x4.div(f32x4.splat(one), anchor), isUsable);
  v128.store(FACTORS + slot * 4, factor);
  v128.store(UNITS + slot * 4, f32x4.div(anchor, f32x4.splat(one)));
  const bias = i32x4.splat(TO_INTEGER_BITS);
  const middle = i32x4.add(i32x4.sub(rounded(low, factor), bias), i32x4.sub(rounded(high, factor), bias));
  v128.store(MIDDLES + slot * 4, middle);
}

/** Eight values at `at`. */
// @ts-ignore: decorator
@inline
function eightFixed(dtype: i32, at: usize, factor: v128): v128 {
  if (dtype == BF16) {
    const pairs = v128.load(at);
    const even = rounded(i32x4.shl(pairs, 16), factor);
    const odd = rounded(v128.and(pairs, i32x4.splat(0xffff0000)), factor);
    return v128.shuffle<i16>(even, i32x4.shl(odd, 16), 0, 9, 2, 11, 4, 13, 6, 15);
  }
  const bias = i32x4.splat(TO_INTEGER_BITS);
  const lower = i32x4.sub(rounded(v128.load(at), factor), bias);
  return i16x8.narrow_i32x4_s(lower, i32x4.sub(rounded(v128.load(at, 16), factor), bias));
}

/** Fills FIXED with four groups of `count` values, a multiple of 8; `slot` is 0 or 4. */
// @ts-ignore: decorator
@inline
export function fixGroups(dtype: i32, from: usize, count: usize, slot: usize): void {
  const size = bytesOf(dtype);
  const stride = count * size;
  const first = v128.load32_splat(FACTORS + slot * 4);
  const second = v128.load32_splat(FACTORS + slot * 4, 4);
  const third = v128.load32_splat(FACTORS + slot * 4, 8);
  const fourth = v128.load32_splat(FACTORS + slot * 4, 12);
  let to = FIXED;
  for (let at = from; at < from + stride; at += 8 * size) {
    const a = eightFixed(dtype, at, first);
    const b = eightFixed(dtype, at + stride, second);
    const c = eightFixed(dtype, at + 2 * stride, third);
    const d = eightFixed(dtype, at + 3 * stride, fourth);
    const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
    const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
    v128.store(to, v128.shuffle<i64>(ab, cd, 1, 3), 16);
    const abEnd = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cdEnd = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<i64>(abEnd, cdEnd, 0, 2), 32);
    v128.store(to, v128.shuffle<i64>(abEnd, cdEnd, 1, 3), 48);
    to += 64;
  }
}

/** Fills FIXED with `count` values of one row, a multiple of 16, at most 4 * PIECE. */
// @ts-ignore: decorator
@inline
export function fixPiece(dtype: i32, from: usize, count: usize): void {
  const factor = v128.load32_splat(FACTORS);
  for (let i: usize = 0; i < count; i += 8) v128.store(FIXED + 2 * i, eightFixed(dtype, from + i * bytesOf(dtype), factor));
}

/** Sums of squares of `vectors` vectors of FIXED, the lanes 0 and 1 (`upper` false) or 2 and 3, in i64. */
export function squaresOfFixed(vectors: usize, upper: bool): v128 {
  let sum = i64x2.splat(0);
  for (let at = FIXED; at < FIXED + 16 * vectors; at += 16) {
    const lanes = i32x4.dot_i16x8_s(v128.load(at), v128.load(at));
    sum = i64x2.add(sum, upper ? i64x2.extend_high_i32x4_s(lanes) : i64x2.extend_low_i32x4_s(lanes));
  }
  return sum;
}

/** The root of a mean square, below 2^15. */
export function rootOfMean(squares: i64, count: i32): i32 {
  return <i32>sqrt(<f64>squares / <f64>count);
}

/** Fills WEIGHTS for `vectors` vectors of FIXED: magnitude plus `means`, an i16 for every lane. */
export function fillWeights(vectors: usize, means: v128): void {
  for (let i: usize = 0; i < 16 * vectors; i += 16) {
    const sum = i16x8.add(i16x8.abs(v128.load(FIXED + i)), means);
    v128.store(WEIGHTS + i, i16x8.shr_u(sum, weightShift));
  }
}

/** The low halves of i32 lanes, each twice. */
// @ts-ignore: decorator
@inline
export function doubled(lanes: v128): v128 {
  return v128.shuffle<i16>(lanes, lanes, 0, 0, 2, 2, 4, 4, 6, 6);
}
