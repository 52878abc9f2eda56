// Scales and zero points as schemes store them.
import { halfValues } from './lanes';

/** Scale `index` as float32: 0 of float32, 1 of half, 2 of bfloat16, 3 of e8m0. */
// @ts-ignore: decorator
@inline
export function scaleAt(kind: i32, scales: usize, index: usize): f32 {
  if (kind == 0) return load<f32>(scales + (index << 2));
  if (kind == 1) return f32x4.extract_lane(halfValues(i32x4.splat(load<u16>(scales + (index << 1)))), 0);
  if (kind == 2) return reinterpret<f32>(<u32>load<u16>(scales + (index << 1)) << 16);
  const exponent = <u32>load<u8>(scales + index);
  // 2^-127 is a subnormal float32
  return reinterpret<f32>(exponent == 0 ? 0x00400000 : exponent << 23);
}

/** Code `index` of 4-bit codes packed after each other, low nibble first. */
// @ts-ignore: decorator
@inline
export function nibble(part: usize, index: usize): i32 {
  return (<i32>load<u8>(part + (index >> 1)) >> (<i32>(index & 1) << 2)) & 15;
}
