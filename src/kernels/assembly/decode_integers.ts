// Integer codes of groups and rows to float32: twin of `dequantize` in schemes/arithmetic/integer_scheme.ts.
import { nibblesAt, storeIntegers, storeWords } from './decoded_lanes';
import { nibble, scaleAt, zeroPointAt } from './stored_grids';

/** The codes of a group that are left beyond whole vectors of 16, or that start within a byte, and their values. */
const TAIL_CODES: usize = memory.data(16, 16);
const TAIL: usize = memory.data(64, 16);

// @ts-ignore: decorator
@inline
function storeSixteen(bits: i32, at: usize, mask: v128, zero: i32, scale: v128, to: usize): void {
  if (bits == 4) {
    const codes = v128.xor(nibblesAt(at, false), mask);
    storeIntegers(i8x16.sub(codes, i8x16.splat(<i8>zero)), scale, to);
    return;
  }
  const codes = v128.xor(v128.load(at), mask);
  const zeros = i16x8.splat(<i16>zero);
  const first = i16x8.sub(i16x8.extend_low_i8x16_u(codes), zeros);
  storeWords(first, i16x8.sub(i16x8.extend_high_i8x16_u(codes), zeros), scale, to);
}

/** Copies `count` codes from number `index` on to TAIL_CODES. */
function copyCodes(bits: i32, codes: usize, index: usize, count: usize): void {
  if (bits == 8) {
    memory.copy(TAIL_CODES, codes + index, count);
    return;
  }
  for (let i: usize = 0; i < count; i += 2) {
    const high = i + 1 < count ? nibble(codes, index + i + 1) : 0;
    store<u8>(TAIL_CODES + (i >> 1), <u8>(nibble(codes, index + i) | (high << 4)));
  }
}

// @ts-ignore: decorator
@inline
function decodeRows(
  bits: i32,
  flip: i32,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
  cols: usize,
  groupCols: usize,
  rowCodes: usize,
  zeroStride: usize,
  first: usize,
  rows: usize,
  to: usize,
): void {
  const across = (cols + groupCols - 1) / groupCols;
  const mask = i8x16.splat(<i8>(bits == 4 ? flip & 15 : flip));
  let into = to;
  for (let row = first; row < first + rows; row++) {
    let index = row * rowCodes;
    for (let group: usize = 0; group < across; group++) {
      const scale = f32x4.splat(scaleAt(scales, row * across + group));
      const zero = zeroPointAt(bits, zeroPoints, row * zeroStride + group, flip);
      const count = min(groupCols, cols - group * groupCols);
      const whole: usize = bits == 4 && (index & 1) != 0 ? 0 : count & ~15;
      const at = codes + (bits == 4 ? index >> 1 : index);
      for (let i: usize = 0; i < whole; i += 16) {
        storeSixteen(bits, at + (bits == 4 ? i >> 1 : i), mask, zero, scale, into + (i << 2));
      }
      for (let i = whole; i < count; i += 16) {
        const held = min<usize>(16, count - i);
        copyCodes(bits, codes, index + i, held);
        storeSixteen(bits, TAIL_CODES, mask, zero, scale, TAIL);
        memory.copy(into + (i << 2), TAIL, held << 2);
      }
      into += count << 2;
      index += groupCols;
    }
  }
}

/**
 * Decodes rows [first, first + rows). `groupCols` share a scale, those of a row follow each other; a row takes
 * `rowCodes` codes and `zeroStride` zero points; `zeroPoints` 0 where there are none.
 */
export function decodeIntegers(
  bits: i32,
  flip: i32,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
  cols: usize,
  groupCols: usize,
  rowCodes: usize,
  zeroStride: usize,
  first: usize,
  rows: usize,
  to: usize,
): void {
  if (bits == 4) decodeRows(4, flip, codes, scales, zeroPoints, cols, groupCols, rowCodes, zeroStride, first, rows, to);
  else decodeRows(8, flip, codes, scales, zeroPoints, cols, groupCols, rowCodes, zeroStride, first, rows, to);
}
