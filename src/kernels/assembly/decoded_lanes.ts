// Sixteen codes, one a byte, as float32 at `to`.

/** Four values of eight integers in lanes of 16 bits. */
// @ts-ignore: decorator
@inline
function lower(words: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
}

// @ts-ignore: decorator
@inline
function upper(words: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words));
}

/** Two times eight integers of 16 bits times a scale. */
// @ts-ignore: decorator
@inline
export function storeWords(first: v128, second: v128, scale: v128, to: usize): void {
  v128.store(to, f32x4.mul(lower(first), scale));
  v128.store(to, f32x4.mul(upper(first), scale), 16);
  v128.store(to, f32x4.mul(lower(second), scale), 32);
  v128.store(to, f32x4.mul(upper(second), scale), 48);
}

/** Signed bytes times a scale. */
// @ts-ignore: decorator
@inline
export function storeIntegers(bytes: v128, scale: v128, to: usize): void {
  storeWords(i16x8.extend_low_i8x16_s(bytes), i16x8.extend_high_i8x16_s(bytes), scale, to);
}

/** Bytes below 128 times a scale, and an offset. */
// @ts-ignore: decorator
@inline
export function storeShifted(bytes: v128, scale: v128, offset: v128, to: usize): void {
  const first = i16x8.extend_low_i8x16_s(bytes);
  const second = i16x8.extend_high_i8x16_s(bytes);
  v128.store(to, f32x4.add(f32x4.mul(lower(first), scale), offset));
  v128.store(to, f32x4.add(f32x4.mul(upper(first), scale), offset), 16);
  v128.store(to, f32x4.add(f32x4.mul(lower(second), scale), offset), 32);
  v128.store(to, f32x4.add(f32x4.mul(upper(second), scale), offset), 48);
}

/** Sixteen codes of four bits, of eight bytes at `at`, one a byte: those in low nibbles first of each pair, or last. */
// @ts-ignore: decorator
@inline
export function nibblesAt(at: usize, isHighFirst: bool): v128 {
  const pairs = v128.load64_zero(at);
  const low = v128.and(pairs, i8x16.splat(15));
  const high = v128.and(i16x8.shr_u(pairs, 4), i8x16.splat(15));
  if (isHighFirst) return v128.shuffle<i8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
