// Scaled 8-bit floats to float32: twin of `dequantize` in schemes/arithmetic/scaled_float_scheme.ts.
import { halfValues } from './lanes';

const E4M3: i32 = 0;

/** The codes of a block's row that are left beyond whole vectors of 16, and their values. */
const TAIL_CODES: usize = memory.data(16, 16);
const TAIL: usize = memory.data(64, 16);

/** float32 of four codes in i32 lanes. */
// @ts-ignore: decorator
@inline
function valuesOf(format: i32, codes: v128): v128 {
  if (format != E4M3) return halfValues(i32x4.shl(codes, 8));
  const magnitude = v128.and(codes, i32x4.splat(0x7f));
  // Subnormals m / 8 * 2^-6 are (1 + m / 8) * 2^-6 less 2^-6: a product with a subnormal float32 takes far longer.
  const subnormal = i32x4.lt_s(magnitude, i32x4.splat(8));
  const exponent = i32x4.sub(i32x4.splat(120 << 23), i32x4.shl(subnormal, 23));
  const shifted = i32x4.add(i32x4.shl(magnitude, 20), exponent);
  const value = f32x4.sub(shifted, v128.and(subnormal, i32x4.splat(121 << 23)));
  const nan = v128.and(i32x4.eq(magnitude, i32x4.splat(0x7f)), i32x4.splat(0x7fc00000));
  const sign = i32x4.shl(v128.and(codes, i32x4.splat(0x80)), 24);
  return v128.or(v128.or(value, sign), nan);
}

// @ts-ignore: decorator
@inline
function sixteenValues(format: i32, from: usize, scale: v128, to: usize): void {
  const codes = v128.load(from);
  const low = i16x8.extend_low_i8x16_u(codes);
  const high = i16x8.extend_high_i8x16_u(codes);
  v128.store(to, f32x4.mul(valuesOf(format, i32x4.extend_low_i16x8_u(low)), scale));
  v128.store(to, f32x4.mul(valuesOf(format, i32x4.extend_high_i16x8_u(low)), scale), 16);
  v128.store(to, f32x4.mul(valuesOf(format, i32x4.extend_low_i16x8_u(high)), scale), 32);
  v128.store(to, f32x4.mul(valuesOf(format, i32x4.extend_high_i16x8_u(high)), scale), 48);
}

// @ts-ignore: decorator
@inline
function decodeRows(
  format: i32,
  codes: usize,
  scales: usize,
  rows: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  to: usize,
): void {
  const across = (cols + blockCols - 1) / blockCols;
  for (let row: usize = 0; row < rows; row++) {
    let scaleAt = scales + (row / blockRows) * across * 4;
    for (let col: usize = 0; col < cols; col += blockCols) {
      const scale = v128.load32_splat(scaleAt);
      const count = min(blockCols, cols - col);
      const whole = count & ~15;
      const from = codes + row * cols + col;
      const into = to + 4 * (row * cols + col);
      for (let i: usize = 0; i < whole; i += 16) sixteenValues(format, from + i, scale, into + 4 * i);
      if (whole < count) {
        memory.copy(TAIL_CODES, from + whole, count - whole);
        sixteenValues(format, TAIL_CODES, scale, TAIL);
        memory.copy(into + 4 * whole, TAIL, 4 * (count - whole));
      }
      scaleAt += 4;
    }
  }
}

/** Decodes a matrix whose blocks have a float32 scale each. `format` is 0 for E4M3, 1 for E5M2. */
export function scaledFloats(
  format: i32,
  codes: usize,
  scales: usize,
  rows: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  to: usize,
): void {
  if (format == E4M3) decodeRows(E4M3, codes, scales, rows, cols, blockRows, blockCols, to);
  else decodeRows(1, codes, scales, rows, cols, blockRows, blockCols, to);
}
