// Scaled 8-bit floats to float32: twin of `dequantize` in schemes/arithmetic/scaled_float_scheme.ts.
import { E4M3, E5M2 } from './fp8';
import { scaleAt } from './stored_grids';

/** The codes of a block's row that are left beyond whole vectors of 16, and their values. */
const TAIL_CODES: usize = memory.data(16, 16);
const TAIL: usize = memory.data(64, 16);

/**
 * What the upper 16 bits of float32 are more than the magnitude of a code shifted into their place with another bias: the
 * difference of subnormals, by magnitude; swizzle gives 0 for greater ones. Low bytes, then high bytes.
 */
// @ts-ignore: decorator
@inline
function lowDifference(format: i32, magnitude: v128): v128 {
  const table =
    format == E4M3
      ? i8x16(0, -0x10, 0x60, -0x70, -0x40, -0x30, -0x20, -0x10, 0, 0, 0, 0, 0, 0, 0, 0)
      : i8x16(0, 0x60, -0x40, -0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return i8x16.swizzle(table, magnitude);
}

// @ts-ignore: decorator
@inline
function highDifference(format: i32, magnitude: v128): v128 {
  const table =
    format == E4M3
      ? i8x16(-0x3c, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
      : i8x16(-0x38, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return i8x16.swizzle(table, magnitude);
}

/** Eight float32 of which the upper 16 bits are given, times a scale. */
// @ts-ignore: decorator
@inline
function storeEight(words: v128, scale: v128, to: usize): void {
  const zero = i16x8.splat(0);
  v128.store(to, f32x4.mul(v128.shuffle<i16>(zero, words, 0, 8, 1, 9, 2, 10, 3, 11), scale));
  v128.store(to, f32x4.mul(v128.shuffle<i16>(zero, words, 4, 12, 5, 13, 6, 14, 7, 15), scale), 16);
}

// @ts-ignore: decorator
@inline
function sixteenValues(format: i32, from: usize, scale: v128, to: usize): void {
  const mantissa = format == E4M3 ? 3 : 2;
  const codes = v128.load(from);
  const magnitude = v128.and(codes, i8x16.splat(0x7f));
  const shifted = v128.and(i16x8.shl(magnitude, 7 - mantissa), i8x16.splat(format == E4M3 ? -0x10 : -0x20));
  const low = i8x16.add(shifted, lowDifference(format, magnitude));
  const exponent = v128.and(i16x8.shr_u(magnitude, mantissa + 1), i8x16.splat(format == E4M3 ? 7 : 15));
  const biased = i8x16.add(exponent, i8x16.splat(format == E4M3 ? 0x3c : 0x38));
  // NaN, of E5M2 infinities too: all bits of the exponent are set
  const special = i8x16.gt_s(magnitude, i8x16.splat(format == E4M3 ? 0x7e : 0x7b));
  const high = v128.or(i8x16.add(biased, highDifference(format, magnitude)), v128.and(special, i8x16.splat(0x7f)));
  const signed = v128.or(high, v128.and(codes, i8x16.splat(-0x80)));
  storeEight(v128.shuffle<i8>(low, signed, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), scale, to);
  storeEight(v128.shuffle<i8>(low, signed, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), scale, to + 32);
}

// @ts-ignore: decorator
@inline
function decodeRows(
  format: i32,
  codes: usize,
  scales: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  first: usize,
  rows: usize,
  to: usize,
): void {
  const across = (cols + blockCols - 1) / blockCols;
  let from = codes + first * cols;
  let into = to;
  for (let row = first; row < first + rows; row++) {
    let index = (row / blockRows) * across;
    for (let col: usize = 0; col < cols; col += blockCols) {
      const scale = f32x4.splat(scaleAt(scales, index++));
      const count = min(blockCols, cols - col);
      const whole = count & ~15;
      for (let i: usize = 0; i < whole; i += 16) sixteenValues(format, from + i, scale, into + 4 * i);
      if (whole < count) {
        memory.copy(TAIL_CODES, from + whole, count - whole);
        sixteenValues(format, TAIL_CODES, scale, TAIL);
        memory.copy(into + 4 * whole, TAIL, 4 * (count - whole));
      }
      from += count;
      into += 4 * count;
    }
  }
}

/** Decodes rows [first, first + rows), of whose blocks each has a scale. `format` is 0 for E4M3, 1 for E5M2. */
export function decodeFp8(
  format: i32,
  codes: usize,
  scales: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  first: usize,
  rows: usize,
  to: usize,
): void {
  if (format == E4M3) decodeRows(E4M3, codes, scales, cols, blockRows, blockCols, first, rows, to);
  else decodeRows(E5M2, codes, scales, cols, blockRows, blockCols, first, rows, to);
}
