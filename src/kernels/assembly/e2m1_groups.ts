// E2M1 codes with a scale of one byte for each group of a row: twin of schemes/arithmetic/group_scaled_float.ts, formats
// mxfp4 and nvfp4.
import { allFinite } from './floats';
import { BF16, bytesOf, evenValues, F16, F32, oddValues, smallFloatCodes } from './lanes';
import { largestBits, largestMagnitude, magnitudeOf } from './magnitudes';
import { widenHalves } from './widen';

const MXFP4: i32 = 0;
const NVFP4: i32 = 1;
/** E4M3 code of 0.125, which stands for 0. */
const SCALE_FOR_ZERO: i32 = 0x20;

/** The tensor's divisor of scales, and by E4M3 code what values are divided by. */
let globalScale: f32 = 1;
const MULTIPLIERS: usize = memory.data(128 * 4, 16);

/** A group that is not whole, or of halves, which are made float32; and its codes. */
const GROUP: usize = memory.data(128, 16);
const GROUP_CODES: usize = memory.data(16, 16);

// ------------------------------------------------------------------ scales

/** float32 of an E4M3 code without sign. */
// @ts-ignore: decorator
@inline
function e4m3Value(code: i32): f32 {
  return reinterpret<f32>(code << 20) * reinterpret<f32>((120 + 127) << 23);
}

// @ts-ignore: decorator
@inline
function powerOfTwo(code: i32): f32 {
  // 2^-127 is a subnormal float32
  return reinterpret<f32>(code == 0 ? 0x00400000 : code << 23);
}

// @ts-ignore: decorator
@inline
function scaleCode(format: i32, amax: f32): i32 {
  if (format == MXFP4) return max(0, ((reinterpret<i32>(amax) + (1 << 21)) >>> 23) - 2);
  const exact = f32x4.splat(globalScale * (amax / <f32>6));
  const code = i32x4.extract_lane(smallFloatCodes(f32x4.pmin(f32x4.splat(448), exact), 3, -6), 0);
  return code == 0 ? SCALE_FOR_ZERO : code;
}

/** What values are divided by, or for powers of two multiplied with, which comes to the same. */
// @ts-ignore: decorator
@inline
function divisorOf(format: i32, code: i32): v128 {
  return format == MXFP4 ? f32x4.splat(powerOfTwo(254 - code)) : v128.load32_splat(MULTIPLIERS + (code << 2));
}

// @ts-ignore: decorator
@inline
function scaled(format: i32, x: v128, divisor: v128): v128 {
  return format == MXFP4 ? f32x4.mul(x, divisor) : f32x4.div(x, divisor);
}

// ------------------------------------------------------------------ codes

/** Codes of lanes, a sign for what is below 0. */
// @ts-ignore: decorator
@inline
function codesOf(x: v128): v128 {
  const magnitude = f32x4.pmin(f32x4.splat(6), f32x4.abs(x));
  const sign = v128.and(f32x4.lt(x, f32x4.splat(0)), i32x4.splat(8));
  return v128.or(smallFloatCodes(magnitude, 1, 0), sign);
}

/** Eight values at `at`: four lanes that each hold a pair of neighbouring codes, the first one in the lower bits. */
// @ts-ignore: decorator
@inline
function pairsOf(dtype: i32, format: i32, at: usize, divisor: v128): v128 {
  const even = codesOf(scaled(format, evenValues(dtype, at), divisor));
  const odd = codesOf(scaled(format, oddValues(dtype, at), divisor));
  return v128.or(even, i32x4.shl(odd, 4));
}

// @ts-ignore: decorator
@inline
function encode(dtype: i32, format: i32, from: usize, divisor: v128, to: usize): void {
  const step = 8 * bytesOf(dtype);
  const words = i16x8.narrow_i32x4_u(pairsOf(dtype, format, from, divisor), pairsOf(dtype, format, from + step, divisor));
  if (format == NVFP4) {
    v128.store_lane<u64>(to, i8x16.narrow_i16x8_u(words, words), 0);
    return;
  }
  const next = from + 2 * step;
  const more = i16x8.narrow_i32x4_u(pairsOf(dtype, format, next, divisor), pairsOf(dtype, format, next + step, divisor));
  v128.store(to, i8x16.narrow_i16x8_u(words, more));
}

// ------------------------------------------------------------------ search

/** Squares of what rounding to E2M1 takes from lanes. */
// @ts-ignore: decorator
@inline
function squaresOf(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const bounded = f32x4.pmin(f32x4.splat(6), magnitude);
  const power = f32x4.pmax(v128.and(bounded, i32x4.splat(0x7f800000)), f32x4.splat(1));
  const shifter = i32x4.add(power, i32x4.splat(22 << 23));
  const rest = f32x4.sub(magnitude, f32x4.sub(f32x4.add(bounded, shifter), shifter));
  return f32x4.mul(rest, rest);
}

/** Sum of the squares of what a scale takes from a group, in units of its codes. */
// @ts-ignore: decorator
@inline
function squaredError(dtype: i32, format: i32, from: usize, code: i32): f32 {
  const divisor = divisorOf(format, code);
  const group: usize = format == MXFP4 ? 32 : 16;
  let sum = f32x4.splat(0);
  for (let at = from; at < from + group * bytesOf(dtype); at += 8 * bytesOf(dtype)) {
    sum = f32x4.add(sum, squaresOf(scaled(format, evenValues(dtype, at), divisor)));
    sum = f32x4.add(sum, squaresOf(scaled(format, oddValues(dtype, at), divisor)));
  }
  sum = f32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2));
  return f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 2);
}

/** What a unit of a scale's codes is worth, squared, next to that of other scales of the group. */
// @ts-ignore: decorator
@inline
function unitOf(format: i32, code: i32, usual: i32): f32 {
  if (format == NVFP4) return e4m3Value(code) * e4m3Value(code);
  return code > usual ? 4 : code < usual ? 0.25 : 1;
}

// @ts-ignore: decorator
@inline
function bestScale(dtype: i32, format: i32, from: usize, usual: i32): i32 {
  const reach = format == MXFP4 ? 1 : 2;
  const lowest = format == MXFP4 ? 0 : 1;
  const highest = format == MXFP4 ? 254 : 0x7e;
  let best = usual;
  let least: f32 = Infinity;
  for (let turn = reach + 1; turn >= -reach; turn--) {
    // the usual scale comes first
    const code = turn > reach ? usual : usual + turn;
    if (turn == 0 || code < lowest || code > highest) continue;
    const error = squaredError(dtype, format, from, code) * unitOf(format, code, usual);
    if (error < least) {
      least = error;
      best = code;
    }
  }
  return best;
}

// ------------------------------------------------------------------ groups

// @ts-ignore: decorator
@inline
function encodeGroup(dtype: i32, format: i32, isSearched: bool, from: usize, codes: usize, scales: usize): void {
  const amax = magnitudeOf(dtype, largestBits(dtype, from, format == MXFP4 ? 32 : 16));
  let code = scaleCode(format, amax);
  if (isSearched) code = bestScale(dtype, format, from, code);
  store<u8>(scales, <u8>code);
  encode(dtype, format, from, divisorOf(format, code), codes);
}

// @ts-ignore: decorator
@inline
function encodeKind(format: i32, isSearched: bool, dtype: i32, from: usize, codes: usize, scales: usize): void {
  if (dtype == BF16) encodeGroup(BF16, format, isSearched, from, codes, scales);
  else encodeGroup(F32, format, isSearched, from, codes, scales);
}

function encodeMx(dtype: i32, from: usize, codes: usize, scales: usize): void {
  encodeKind(MXFP4, false, dtype, from, codes, scales);
}
function encodeNv(dtype: i32, from: usize, codes: usize, scales: usize): void {
  encodeKind(NVFP4, false, dtype, from, codes, scales);
}
function searchMx(dtype: i32, from: usize, codes: usize, scales: usize): void {
  encodeKind(MXFP4, true, dtype, from, codes, scales);
}
function searchNv(dtype: i32, from: usize, codes: usize, scales: usize): void {
  encodeKind(NVFP4, true, dtype, from, codes, scales);
}

/**
 * Quantizes rows by groups; false where a value is not finite. `format` is 0 for mxfp4, 1 for nvfp4; `amax` the greatest
 * magnitude of all that share nvfp4's divisor, NaN where it is that of these rows; `global` the address of the divisor.
 */
export function e2m1Groups(
  format: i32,
  isSearched: bool,
  dtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  amax: f64,
  codes: usize,
  scales: usize,
  global: usize,
): bool {
  if (!allFinite(dtype, from, rows * cols)) return false;
  if (format == NVFP4) {
    const largest = isNaN(amax) ? <f64>largestMagnitude(dtype, from, rows * cols) : amax;
    globalScale = largest == 0 ? 1 : min(<f32>(2688.0 / largest), f32.MAX_VALUE);
    store<f32>(global, globalScale);
    for (let code = 0; code < 127; code++) store<f32>(MULTIPLIERS + (code << 2), e4m3Value(code) / globalScale);
  }
  const group: usize = format == MXFP4 ? 32 : 16;
  const size = bytesOf(dtype);
  let codesTo = codes;
  let scalesTo = scales;
  for (let row: usize = 0; row < rows; row++) {
    for (let col: usize = 0; col < cols; col += group) {
      const held = min(group, cols - col);
      const isWhole = held == group;
      let source = from + (row * cols + col) * size;
      if (!isWhole || dtype == F16) {
        memory.fill(GROUP, 0, 128);
        if (dtype == F16) widenHalves(source, held, GROUP);
        else memory.copy(GROUP, source, held * size);
        source = GROUP;
      }
      const to = isWhole ? codesTo : GROUP_CODES;
      if (format == MXFP4) {
        if (isSearched) searchMx(dtype, source, to, scalesTo);
        else encodeMx(dtype, source, to, scalesTo);
      } else if (isSearched) searchNv(dtype, source, to, scalesTo);
      else encodeNv(dtype, source, to, scalesTo);
      if (!isWhole) memory.copy(codesTo, GROUP_CODES, (held + 1) >> 1);
      codesTo += (held + 1) >> 1;
      scalesTo++;
    }
  }
  return true;
}
