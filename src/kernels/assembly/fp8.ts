// 8-bit floats with a scale for each block of rows and columns: twin of schemes/fp8_e4m3.ts and fp8_e5m2.ts.
import { BF16, brainCodes, bytesOf, exponentBits, F16, F32, fourValues, halfValues, smallFloatCodes } from './lanes';

export const E4M3: i32 = 0;
export const E5M2: i32 = 1;

/** Types of stored scales by their numbers in stored_grids.ts. */
const SINGLE: i32 = 0;
const BRAIN: i32 = 2;
/** Below the normal floats a scale has too few digits to divide by. */
const SMALLEST_SCALE: f32 = 1.1754943508222875e-38; // 2^-126

/** The type of scales, and the greatest magnitude of all that share one, NaN where it is that of a block's own values. */
let scaleKind: i32 = SINGLE;
let sharedMagnitude: f64 = NaN;

export function fp8Settings(kind: i32, amax: f64): void {
  scaleKind = kind;
  sharedMagnitude = amax;
}

/** The values of a row that are left beyond whole vectors of 16, and their codes. */
const TAIL: usize = memory.data(64, 16);
const TAIL_CODES: usize = memory.data(16, 16);

// @ts-ignore: decorator
@inline
function largestValue(target: i32): f32 {
  return target == E4M3 ? 448 : 57344;
}

/** Maxima of raw bits without sign over 16 values: 16-bit or 32-bit lanes. */
// @ts-ignore: decorator
@inline
function largestOf(dtype: i32, at: usize, largest: v128): v128 {
  if (dtype == F32) {
    const mask = i32x4.splat(0x7fffffff);
    const a = i32x4.max_s(v128.and(v128.load(at), mask), v128.and(v128.load(at, 16), mask));
    const b = i32x4.max_s(v128.and(v128.load(at, 32), mask), v128.and(v128.load(at, 48), mask));
    return i32x4.max_s(largest, i32x4.max_s(a, b));
  }
  const mask = i16x8.splat(0x7fff);
  const a = v128.and(v128.load(at), mask);
  return i16x8.max_s(largest, i16x8.max_s(a, v128.and(v128.load(at, 16), mask)));
}

// @ts-ignore: decorator
@inline
function loadTail(dtype: i32, from: usize, count: usize): void {
  memory.fill(TAIL, 0, 64);
  memory.copy(TAIL, from, count * bytesOf(dtype));
}

/** The largest magnitude of a block as float32, or NaN where a value is not finite. */
// @ts-ignore: decorator
@inline
function largestMagnitude(dtype: i32, from: usize, rows: usize, count: usize, stride: usize): f32 {
  const size = bytesOf(dtype);
  const whole = (count & ~15) * size;
  let lanes = i32x4.splat(0);
  for (let row: usize = 0; row < rows; row++) {
    const start = from + row * stride;
    for (let at = start; at < start + whole; at += 16 * size) lanes = largestOf(dtype, at, lanes);
    if ((count & 15) != 0) {
      loadTail(dtype, start + whole, count & 15);
      lanes = largestOf(dtype, TAIL, lanes);
    }
  }
  v128.store(TAIL, lanes);
  let bits: i32 = 0;
  for (let at = TAIL; at < TAIL + 16; at += size) bits = max(bits, dtype == F32 ? load<i32>(at) : <i32>load<u16>(at));
  if (bits >= exponentBits(dtype)) return NaN;
  if (dtype == F16) return f32x4.extract_lane(halfValues(i32x4.splat(bits)), 0);
  return reinterpret<f32>(dtype == BF16 ? bits << 16 : bits);
}

/** The exponent of the smallest normal number. */
// @ts-ignore: decorator
@inline
function leastExponent(target: i32): i32 {
  return target == E4M3 ? -6 : -14;
}

// @ts-ignore: decorator
@inline
function magnitudeCodes(target: i32, x: v128, scale: v128): v128 {
  const scaled = f32x4.pmin(f32x4.splat(largestValue(target)), f32x4.div(f32x4.abs(x), scale));
  return smallFloatCodes(scaled, target == E4M3 ? 3 : 2, leastExponent(target));
}

/** Codes of 16 values. Narrowing saturates, so that it keeps the sign of a float's bits. */
// @ts-ignore: decorator
@inline
function sixteenCodes(dtype: i32, target: i32, at: usize, scale: v128): v128 {
  if (dtype == BF16) return sixteenOfBrains(target, at, scale);
  const size = bytesOf(dtype);
  const a = fourValues(dtype, at);
  const b = fourValues(dtype, at + 4 * size);
  const c = fourValues(dtype, at + 8 * size);
  const d = fourValues(dtype, at + 12 * size);
  const signs = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  const codes = i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(magnitudeCodes(target, a, scale), magnitudeCodes(target, b, scale)),
    i16x8.narrow_i32x4_s(magnitudeCodes(target, c, scale), magnitudeCodes(target, d, scale)),
  );
  return v128.or(codes, v128.and(signs, i8x16.splat(i8.MIN_VALUE)));
}

/**
 * Codes of four magnitudes as smallFloatCodes has them, plus a constant: with the even lanes' codes below the odd ones'
 * it is taken off both at once.
 */
// @ts-ignore: decorator
@inline
function liftedCodes(target: i32, magnitude: v128, scale: v128): v128 {
  const a = f32x4.pmin(f32x4.splat(largestValue(target)), f32x4.div(magnitude, scale));
  const mantissaBits = target == E4M3 ? 3 : 2;
  const power = i32x4.max_s(v128.and(a, i32x4.splat(0x7f800000)), i32x4.splat((leastExponent(target) + 127) << 23));
  const sum = f32x4.add(a, i32x4.add(power, i32x4.splat((23 - mantissaBits) << 23)));
  return i32x4.add(i32x4.sub(sum, power), i32x4.shr_u(power, 23 - mantissaBits));
}

/** Codes of eight bfloat16, four pairs of neighbours. */
// @ts-ignore: decorator
@inline
function brainPairs(target: i32, at: usize, scale: v128): v128 {
  const pairs = v128.load(at);
  const even = liftedCodes(target, v128.and(i32x4.shl(pairs, 16), i32x4.splat(0x7fffffff)), scale);
  const odd = liftedCodes(target, v128.and(pairs, i32x4.splat(0x7fff0000)), scale);
  const mantissaBits = target == E4M3 ? 3 : 2;
  const lift = ((23 - mantissaBits) << 23) + ((leastExponent(target) + 127) << mantissaBits);
  return i32x4.sub(i32x4.add(even, i32x4.shl(odd, 8)), i32x4.splat(lift + (lift << 8)));
}

/** As sixteenCodes, of bfloat16 by pairs of neighbours. */
// @ts-ignore: decorator
@inline
function sixteenOfBrains(target: i32, at: usize, scale: v128): v128 {
  const codes = i16x8.narrow_i32x4_s(brainPairs(target, at, scale), brainPairs(target, at + 16, scale));
  const signs = i8x16.narrow_i16x8_s(v128.load(at), v128.load(at, 16));
  return v128.or(codes, v128.and(signs, i8x16.splat(i8.MIN_VALUE)));
}

// @ts-ignore: decorator
@inline
function scaleBytes(): usize {
  return scaleKind == SINGLE ? 4 : scaleKind == BRAIN ? 2 : 1;
}

/** Stores the scale of values up to a magnitude, rounded to bfloat16 or up to a power of two; what it then is. */
function storeScale(target: i32, amax: f32, at: usize): f32 {
  const exact: f32 = amax == 0 ? 1 : max(amax / largestValue(target), SMALLEST_SCALE);
  if (scaleKind == SINGLE) {
    store<f32>(at, exact);
    return exact;
  }
  if (scaleKind == BRAIN) {
    const code = i32x4.extract_lane(brainCodes(f32x4.splat(exact)), 0);
    store<u16>(at, <u16>code);
    return reinterpret<f32>(code << 16);
  }
  const code = (reinterpret<i32>(exact) + 0x007fffff) >> 23;
  store<u8>(at, <u8>code);
  return reinterpret<f32>(code << 23);
}

/** One block: its scale and codes; `stride` is a row's bytes in the source, `cols` its codes. */
// @ts-ignore: decorator
@inline
function encodeBlock(
  dtype: i32,
  target: i32,
  from: usize,
  rows: usize,
  count: usize,
  cols: usize,
  codes: usize,
  scales: usize,
): bool {
  const size = bytesOf(dtype);
  const stride = cols * size;
  const largest = largestMagnitude(dtype, from, rows, count, stride);
  if (isNaN(largest)) return false;
  const divisor = f32x4.splat(storeScale(target, isNaN(sharedMagnitude) ? largest : <f32>sharedMagnitude, scales));
  const whole = count & ~15;
  for (let row: usize = 0; row < rows; row++) {
    const source = from + row * stride;
    const to = codes + row * cols;
    for (let i: usize = 0; i < whole; i += 16) v128.store(to + i, sixteenCodes(dtype, target, source + i * size, divisor));
    if (whole < count) {
      loadTail(dtype, source + whole * size, count - whole);
      v128.store(TAIL_CODES, sixteenCodes(dtype, target, TAIL, divisor));
      memory.copy(to + whole, TAIL_CODES, count - whole);
    }
  }
  return true;
}

// @ts-ignore: decorator
@inline
function encodeBlocks(
  dtype: i32,
  target: i32,
  from: usize,
  rows: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  codes: usize,
  scales: usize,
): bool {
  const size = bytesOf(dtype);
  let scaleTo = scales;
  for (let row: usize = 0; row < rows; row += blockRows) {
    for (let col: usize = 0; col < cols; col += blockCols) {
      const at = row * cols + col;
      const height = min(blockRows, rows - row);
      const width = min(blockCols, cols - col);
      if (!encodeBlock(dtype, target, from + at * size, height, width, cols, codes + at, scaleTo)) return false;
      scaleTo += scaleBytes();
    }
  }
  return true;
}

/** Quantizes a matrix by blocks; false where a value is not finite. `target` is 0 for E4M3, 1 for E5M2. */
export function fp8Blocks(
  dtype: i32,
  target: i32,
  from: usize,
  rows: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  codes: usize,
  scales: usize,
): bool {
  if (target == E4M3) {
    if (dtype == BF16) return encodeBlocks(BF16, E4M3, from, rows, cols, blockRows, blockCols, codes, scales);
    if (dtype == F16) return encodeBlocks(F16, E4M3, from, rows, cols, blockRows, blockCols, codes, scales);
    return encodeBlocks(F32, E4M3, from, rows, cols, blockRows, blockCols, codes, scales);
  }
  if (dtype == BF16) return encodeBlocks(BF16, E5M2, from, rows, cols, blockRows, blockCols, codes, scales);
  if (dtype == F16) return encodeBlocks(F16, E5M2, from, rows, cols, blockRows, blockCols, codes, scales);
  return encodeBlocks(F32, E5M2, from, rows, cols, blockRows, blockCols, codes, scales);
}
