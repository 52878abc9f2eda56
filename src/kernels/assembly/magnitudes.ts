// The greatest magnitude of stored values.
import { BF16, F16, F32, halfValues } from './lanes';

/** Raw bits without the sign of the greatest magnitude of `count` values, a multiple of 8. They are in the order of magnitudes. */
// @ts-ignore: decorator
@inline
export function largestBits(dtype: i32, from: usize, count: usize): i32 {
  if (dtype == F32) {
    let largest = i32x4.splat(0);
    for (let at = from; at < from + 4 * count; at += 32) {
      const a = v128.and(v128.load(at), i32x4.splat(0x7fffffff));
      const b = v128.and(v128.load(at, 16), i32x4.splat(0x7fffffff));
      largest = i32x4.max_s(largest, i32x4.max_s(a, b));
    }
    largest = i32x4.max_s(largest, v128.shuffle<i32>(largest, largest, 2, 3, 0, 1));
    largest = i32x4.max_s(largest, v128.shuffle<i32>(largest, largest, 1, 0, 3, 2));
    return i32x4.extract_lane(largest, 0);
  }
  let largest = i16x8.splat(0);
  for (let at = from; at < from + 2 * count; at += 16) {
    largest = i16x8.max_s(largest, v128.and(v128.load(at), i16x8.splat(0x7fff)));
  }
  largest = i16x8.max_s(largest, v128.shuffle<i16>(largest, largest, 4, 5, 6, 7, 0, 1, 2, 3));
  largest = i16x8.max_s(largest, v128.shuffle<i16>(largest, largest, 2, 3, 0, 1, 6, 7, 4, 5));
  largest = i16x8.max_s(largest, v128.shuffle<i16>(largest, largest, 1, 0, 3, 2, 5, 4, 7, 6));
  return <i32>i16x8.extract_lane_u(largest, 0);
}

/** float32 of raw bits without a sign. */
// @ts-ignore: decorator
@inline
export function magnitudeOf(dtype: i32, bits: i32): f32 {
  if (dtype == F16) return f32x4.extract_lane(halfValues(i32x4.splat(bits)), 0);
  return reinterpret<f32>(dtype == BF16 ? bits << 16 : bits);
}

// @ts-ignore: decorator
@inline
function largestOf(dtype: i32, from: usize, count: usize): f32 {
  const whole = count & ~7;
  let bits = largestBits(dtype, from, whole);
  for (let i = whole; i < count; i++) {
    bits = max(bits, dtype == F32 ? load<i32>(from + 4 * i) & 0x7fffffff : <i32>load<u16>(from + 2 * i) & 0x7fff);
  }
  return magnitudeOf(dtype, bits);
}

/** The greatest magnitude of `count` finite values. */
export function largestMagnitude(dtype: i32, from: usize, count: usize): f32 {
  if (dtype == BF16) return largestOf(BF16, from, count);
  if (dtype == F16) return largestOf(F16, from, count);
  return largestOf(F32, from, count);
}
