// Stored floats to float32: twin of `widen` in core/dtype.ts.
import { halfValues } from './lanes';

/** float32 of each 8-bit code, filled in by the loader for the dtype at hand. */
export const TABLE: usize = memory.data(1024, 16);

// @ts-ignore: decorator
@inline
function widenFourHalves(from: usize, to: usize): void {
  const codes = v128.load64_zero(from);
  v128.store(to, halfValues(v128.shuffle<i16>(codes, i16x8.splat(0), 0, 8, 1, 9, 2, 10, 3, 11)));
}

export function widenHalves(from: usize, count: usize, to: usize): void {
  const whole = count & ~3;
  for (let i: usize = 0; i < whole; i += 4) widenFourHalves(from + 2 * i, to + 4 * i);
  for (let i = whole; i < count; i++) {
    v128.store_lane<u32>(to + 4 * i, halfValues(i32x4.splat(load<u16>(from + 2 * i))), 0);
  }
}

export function widenBrains(from: usize, count: usize, to: usize): void {
  const zero = i16x8.splat(0);
  const whole = count & ~7;
  for (let i: usize = 0; i < whole; i += 8) {
    const codes = v128.load(from + 2 * i);
    v128.store(to + 4 * i, v128.shuffle<i16>(zero, codes, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(to + 4 * i, v128.shuffle<i16>(zero, codes, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  }
  for (let i = whole; i < count; i++) store<u32>(to + 4 * i, <u32>load<u16>(from + 2 * i) << 16);
}

export function widenDoubles(from: usize, count: usize, to: usize): void {
  for (let i: usize = 0; i < count; i++) store<f32>(to + 4 * i, <f32>load<f64>(from + 8 * i));
}

/** 8-bit floats of every kind, by TABLE. */
export function widenBytes(from: usize, count: usize, to: usize): void {
  for (let i: usize = 0; i < count; i++) store<u32>(to + 4 * i, load<u32>(TABLE + (<usize>load<u8>(from + i) << 2)));
}
