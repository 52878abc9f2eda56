// Scales and zero points as schemes store them.
import { halfValues } from './lanes';

/** Of the call at hand: the type of its scales, 0 float32, 1 half, 2 bfloat16, 3 e8m0, 4 e4m3 over one float32 of the tensor. */
let kind: i32 = 0;
let divisor: f32 = 1;

/** `global` is the address of what scales are divided by, 0 where they are not. */
export function scaleSettings(kindOfScales: i32, global: usize): void {
  kind = kindOfScales;
  divisor = global == 0 ? 1 : load<f32>(global);
}

// @ts-ignore: decorator
@inline
export function halfAt(at: usize): f32 {
  return f32x4.extract_lane(halfValues(i32x4.splat(load<u16>(at))), 0);
}

function powerOfTwo(code: u32): f32 {
  // 2^-127 is a subnormal float32, the last code stands for NaN
  return reinterpret<f32>(code == 0 ? 0x00400000 : code == 255 ? 0x7fc00000 : code << 23);
}

function smallFloat(code: u32): f32 {
  const magnitude = code & 0x7f;
  if (magnitude == 0x7f) return NaN;
  const value = reinterpret<f32>(magnitude << 20) * reinterpret<f32>((120 + 127) << 23);
  return (code & 0x80) != 0 ? -value : value;
}

/** Scale `index` as float32. */
// @ts-ignore: decorator
@inline
export function scaleAt(scales: usize, index: usize): f32 {
  if (kind == 0) return load<f32>(scales + (index << 2));
  if (kind == 1) return halfAt(scales + (index << 1));
  if (kind == 2) return reinterpret<f32>(<u32>load<u16>(scales + (index << 1)) << 16);
  const code = <u32>load<u8>(scales + index);
  return kind == 3 ? powerOfTwo(code) : smallFloat(code) / divisor;
}

/** Code `index` of 4-bit codes packed after each other, low nibble first. */
// @ts-ignore: decorator
@inline
export function nibble(part: usize, index: usize): i32 {
  return (<i32>load<u8>(part + (index >> 1)) >> (<i32>(index & 1) << 2)) & 15;
}

/**
 * The zero point of a group as an unsigned code: `index` counts zero points, `flip` is put over a byte of codes. Without
 * zero points it is the middle of the codes.
 */
// @ts-ignore: decorator
@inline
export function zeroPointAt(bits: i32, zeroPoints: usize, index: usize, flip: i32): i32 {
  if (bits == 4) return zeroPoints == 0 ? 8 : nibble(zeroPoints, index) ^ (flip & 15);
  return zeroPoints == 0 ? 128 : <i32>load<u8>(zeroPoints + index) ^ flip;
}
