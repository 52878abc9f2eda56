// Codes of a grid as values, eight at a time, for the error sums: the grid at hand is that of one group.
import { BF16, F32, halfValues } from './lanes';
import { nibble, scaleAt } from './stored_grids';

export const INT4: i32 = 0;
export const INT8: i32 = 1;
export const E4M3: i32 = 2;
export const E5M2: i32 = 3;
export const HALF: i32 = 4;
export const BRAIN: i32 = 5;

const NEARLY: f32 = 0.999;

/** Settings of one call: type of scales, places in a grid's end, and what is put over integer codes. */
let scaleKind: i32 = 0;
let fraction: f32 = 0;
let flip: i32 = 0;

export function errorSettings(kindOfScales: i32, halfStep: f32, flipped: i32): void {
  scaleKind = kindOfScales;
  fraction = halfStep;
  flip = flipped;
}

/** Scale and zero point of the group at hand. */
export let scale: f32 = 1;
export let zeroPoint: f32 = 0;
/** The ends of its grid, half a step further out: set by `setEnds`. */
export let below: f32 = 0;
export let above: f32 = 0;

/** Just under half of the last step of the group's grid: smaller errors are no saturation. */
// @ts-ignore: decorator
@inline
export function nearlyHalfStep(format: i32): f32 {
  const extent: f32 = format == INT4 ? 15 : format == INT8 ? 255 : format == E4M3 ? 896 : 114688;
  return abs<f32>(scale) * (extent * fraction * NEARLY);
}

export function setEnds(format: i32): void {
  let a: f32;
  let b: f32;
  if (format == INT4 || format == INT8) {
    a = (0 - zeroPoint) * scale;
    b = ((format == INT4 ? <f32>15 : <f32>255) - zeroPoint) * scale;
  } else {
    b = (format == E4M3 ? <f32>448 : <f32>57344) * scale;
    a = -b;
  }
  const low = min(a, b);
  const high = max(a, b);
  const halfStep = (high - low) * fraction;
  below = low - halfStep;
  above = high + halfStep;
}

// @ts-ignore: decorator
@inline
export function setGrid(format: i32, scales: usize, index: usize, zeroPoints: usize, zeroIndex: usize): void {
  if (format >= HALF) return;
  scale = scaleAt(scaleKind, scales, index);
  if (format == INT4) zeroPoint = zeroPoints == 0 ? 8 : <f32>(nibble(zeroPoints, zeroIndex) ^ (flip & 8));
  if (format == INT8) zeroPoint = zeroPoints == 0 ? 128 : <f32>(<i32>load<u8>(zeroPoints + zeroIndex) ^ flip);
}

/** Bytes of eight codes. */
// @ts-ignore: decorator
@inline
export function eightBytes(format: i32): usize {
  return format == INT4 ? 4 : format >= HALF ? 16 : 8;
}

/** Eight codes as four lanes, a pair of neighbours each, the first one in the lower bits. */
// @ts-ignore: decorator
@inline
export function pairsAt(format: i32, at: usize): v128 {
  if (format >= HALF) return v128.load(at);
  const mask = i8x16.splat(<i8>flip);
  if (format == INT4) {
    return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.xor(v128.load32_zero(at), mask)));
  }
  const codes = v128.load64_zero(at);
  return i32x4.extend_low_i16x8_u(format == INT8 ? v128.xor(codes, mask) : codes);
}

// @ts-ignore: decorator
@inline
export function firstCodes(format: i32, pairs: v128): v128 {
  return v128.and(pairs, i32x4.splat(format == INT4 ? 15 : format >= HALF ? 0xffff : 0xff));
}

// @ts-ignore: decorator
@inline
export function secondCodes(format: i32, pairs: v128): v128 {
  return i32x4.shr_u(pairs, format == INT4 ? 4 : format >= HALF ? 16 : 8);
}

/** The code of 0 on the grid at hand, as often as there are codes in a byte. */
// @ts-ignore: decorator
@inline
export function zeroByte(format: i32): u8 {
  if (format == INT4) return <u8>((<i32>zeroPoint * 0x11) ^ flip);
  return format == INT8 ? <u8>(<i32>zeroPoint ^ flip) : 0;
}

/** What four codes stand for on the grid at hand, whose scale and zero point are splat (where the format has them). */
// @ts-ignore: decorator
@inline
export function decoded(format: i32, codes: v128, scales: v128, zeroPoints: v128): v128 {
  if (format == HALF) return halfValues(codes);
  if (format == BRAIN) return i32x4.shl(codes, 16);
  let value: v128;
  if (format == E4M3) {
    const magnitude = i32x4.shl(v128.and(codes, i32x4.splat(0x7f)), 20);
    const sign = i32x4.shl(v128.and(codes, i32x4.splat(0x80)), 24);
    value = v128.or(f32x4.mul(magnitude, i32x4.splat((120 + 127) << 23)), sign);
  } else if (format == E5M2) {
    value = halfValues(i32x4.shl(codes, 8));
  } else {
    value = f32x4.sub(f32x4.convert_i32x4_s(codes), zeroPoints);
  }
  return f32x4.mul(value, scales);
}

/** Eight stored values: those at even places, those at odd places. */
// @ts-ignore: decorator
@inline
export function firstValues(dtype: i32, at: usize): v128 {
  if (dtype == F32) return v128.shuffle<f32>(v128.load(at), v128.load(at, 16), 0, 2, 4, 6);
  if (dtype == BF16) return i32x4.shl(v128.load(at), 16);
  return halfValues(v128.and(v128.load(at), i32x4.splat(0xffff)));
}

// @ts-ignore: decorator
@inline
export function secondValues(dtype: i32, at: usize): v128 {
  if (dtype == F32) return v128.shuffle<f32>(v128.load(at), v128.load(at, 16), 1, 3, 5, 7);
  if (dtype == BF16) return v128.and(v128.load(at), i32x4.splat(0xffff0000));
  return halfValues(i32x4.shr_u(v128.load(at), 16));
}
