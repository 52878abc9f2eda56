// Values by lanes: eight stored values as two vectors of float32, those at even places and those at odd places, so that
// a pair of neighbours becomes one packed integer without a shuffle.

export const BF16: i32 = 0;
export const F32: i32 = 1;
export const F16: i32 = 2;

/** The largest float32 below 0.5: for 0 <= t < 2^22, floor(t + BELOW_HALF) is t rounded, halves away from zero. */
export const BELOW_HALF: f32 = 0.49999997;

/** Adding 2^23 to an integer 0 <= n < 2^23 leaves n in the low bits. */
export const MAGIC: f32 = 8388608.0;
export const MAGIC_BITS: i32 = 0x4b000000;

/** Eight values from `at` on, those at even places. */
// @ts-ignore: decorator
@inline
export function evenValues(dtype: i32, at: usize): v128 {
  if (dtype == BF16) return i32x4.shl(v128.load(at), 16);
  return v128.shuffle<f32>(v128.load(at), v128.load(at, 16), 0, 2, 4, 6);
}

// @ts-ignore: decorator
@inline
export function oddValues(dtype: i32, at: usize): v128 {
  if (dtype == BF16) return v128.and(v128.load(at), i32x4.splat(0xffff0000));
  return v128.shuffle<f32>(v128.load(at), v128.load(at, 16), 1, 3, 5, 7);
}

// @ts-ignore: decorator
@inline
export function bytesOf(dtype: i32): usize {
  return dtype == F32 ? 4 : 2;
}

/**
 * Codes of magnitudes 0 <= a <= the largest exponent of a small float, to nearest even, in i32 lanes. Adding 2^20 (for
 * three mantissa bits) times the power of two at or below `a` pushes the bits to be rounded off out of the mantissa;
 * a power of at least 2^minExponent makes subnormals right too. A carry moves into the exponent by itself.
 */
// @ts-ignore: decorator
@inline
export function smallFloatCodes(a: v128, mantissaBits: i32, minExponent: i32): v128 {
  const power = i32x4.max_s(v128.and(a, i32x4.splat(0x7f800000)), i32x4.splat((minExponent + 127) << 23));
  const shifter = i32x4.add(power, i32x4.splat((23 - mantissaBits) << 23));
  const units = i32x4.sub(f32x4.add(a, shifter), shifter);
  const base = i32x4.sub(i32x4.shr_u(power, 23 - mantissaBits), i32x4.splat((minExponent + 127) << mantissaBits));
  return i32x4.add(units, base);
}

/** IEEE half codes of float32 lanes that are no NaN, sign included; 65520 and more becomes infinity. */
// @ts-ignore: decorator
@inline
export function halfCodes(x: v128): v128 {
  const magnitude = f32x4.pmin(f32x4.splat(65536), f32x4.abs(x));
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000));
  return v128.or(sign, smallFloatCodes(magnitude, 10, -14));
}

/** bfloat16 codes of float32 lanes that are no NaN, to nearest even. */
// @ts-ignore: decorator
@inline
export function brainCodes(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  return i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16);
}

/** float32 of half codes in i32 lanes. */
// @ts-ignore: decorator
@inline
export function halfValues(codes: v128): v128 {
  const magnitude = i32x4.shl(v128.and(codes, i32x4.splat(0x7fff)), 13);
  const special = i32x4.gt_s(magnitude, i32x4.splat(0x0f7fffff));
  const value = f32x4.mul(magnitude, i32x4.splat((112 + 127) << 23));
  const sign = i32x4.shl(v128.and(codes, i32x4.splat(0x8000)), 16);
  return v128.or(v128.or(value, sign), v128.and(special, i32x4.splat(0x7f800000)));
}

/** Four values from `at` on as float32. */
// @ts-ignore: decorator
@inline
export function fourValues(dtype: i32, at: usize): v128 {
  if (dtype == F32) return v128.load(at);
  const codes = v128.load64_zero(at);
  const zero = i16x8.splat(0);
  if (dtype == BF16) return v128.shuffle<i16>(zero, codes, 0, 8, 1, 9, 2, 10, 3, 11);
  return halfValues(v128.shuffle<i16>(codes, zero, 0, 8, 1, 9, 2, 10, 3, 11));
}

/** The exponent's bits, all ones in NaN and infinities. */
// @ts-ignore: decorator
@inline
export function exponentBits(dtype: i32): i32 {
  return dtype == F16 ? 0x7c00 : dtype == BF16 ? 0x7f80 : 0x7f800000;
}
