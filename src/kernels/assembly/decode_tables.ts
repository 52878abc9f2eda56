// Codes of sixteen values to float32, looked up byte by byte: twins of `dequantize` in
// schemes/arithmetic/group_scaled_float.ts and schemes/nf4.ts.
import { nibblesAt } from './decoded_lanes';
import { scaleAt } from './stored_grids';

const E2M1: i32 = 0;
const NF4: i32 = 1;

/** Codes that are left beyond whole vectors of 16, and their values. */
const TAIL_CODES: usize = memory.data(16, 16);
const TAIL: usize = memory.data(64, 16);

/** Third and fourth bytes of the float32 of E2M1_VALUES; the others are 0. */
// @ts-ignore: decorator
@inline
function e2m1Words(codes: v128, isHigh: bool): v128 {
  const third = i8x16.swizzle(
    i8x16(0, 0, -0x80, -0x40, 0, 0x40, -0x80, -0x40, 0, 0, -0x80, -0x40, 0, 0x40, -0x80, -0x40),
    codes,
  );
  const fourth = i8x16.swizzle(
    i8x16(0, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, -0x80, -0x41, -0x41, -0x41, -0x40, -0x40, -0x40, -0x40),
    codes,
  );
  return interleaved(third, fourth, isHigh);
}

/** First and second bytes of the float32 of NF4_VALUES. */
// @ts-ignore: decorator
@inline
function nf4LowWords(codes: v128, isHigh: bool): v128 {
  const first = i8x16.swizzle(
    i8x16(0, -0x4f, 0x30, -0x60, 0x4d, 0x3f, 0x71, 0, -1, -0x1d, -0x23, 0x3a, -0x48, -0x55, -0x4d, 0),
    codes,
  );
  const second = i8x16.swizzle(
    i8x16(0, 0x39, 0x6b, 0x32, -0x5e, 0x35, 0x78, 0, -6, -0x36, 4, 3, -0x5c, 7, 0x13, 0),
    codes,
  );
  return interleaved(first, second, isHigh);
}

/** Third and fourth bytes of the float32 of NF4_VALUES. */
// @ts-ignore: decorator
@inline
function nf4HighWords(codes: v128, isHigh: bool): v128 {
  const third = i8x16.swizzle(
    i8x16(-0x80, 0x32, 6, -0x36, -0x6f, 0x3d, -0x46, 0, -0x5e, 0x24, 0x7c, -0x53, -0x1f, 0x10, 0x39, -0x80),
    codes,
  );
  const fourth = i8x16.swizzle(
    i8x16(-0x41, -0x41, -0x41, -0x42, -0x42, -0x42, -0x43, 0, 0x3d, 0x3e, 0x3e, 0x3e, 0x3e, 0x3f, 0x3f, 0x3f),
    codes,
  );
  return interleaved(third, fourth, isHigh);
}

/** Words of two bytes each of eight of sixteen places: the lower or the upper ones. */
// @ts-ignore: decorator
@inline
function interleaved(low: v128, high: v128, isHigh: bool): v128 {
  if (isHigh) return v128.shuffle<i8>(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

/** Eight values of float32 whose lower and upper words are given, times a scale. */
// @ts-ignore: decorator
@inline
function storeEight(low: v128, high: v128, scale: v128, to: usize): void {
  const first = v128.shuffle<i16>(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
  const second = v128.shuffle<i16>(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
  v128.store(to, f32x4.mul(first, scale));
  v128.store(to, f32x4.mul(second, scale), 16);
}

/** Sixteen values of the eight bytes at `at`. */
// @ts-ignore: decorator
@inline
function storeSixteen(format: i32, at: usize, scale: v128, to: usize): void {
  const codes = nibblesAt(at, format == NF4);
  if (format == E2M1) {
    const zero = i16x8.splat(0);
    storeEight(zero, e2m1Words(codes, false), scale, to);
    storeEight(zero, e2m1Words(codes, true), scale, to + 32);
  } else {
    storeEight(nf4LowWords(codes, false), nf4HighWords(codes, false), scale, to);
    storeEight(nf4LowWords(codes, true), nf4HighWords(codes, true), scale, to + 32);
  }
}

/** `count` values of the codes from the start of a byte on. */
// @ts-ignore: decorator
@inline
function storeSome(format: i32, at: usize, count: usize, scale: v128, to: usize): void {
  const whole = count & ~15;
  for (let i: usize = 0; i < whole; i += 16) storeSixteen(format, at + (i >> 1), scale, to + (i << 2));
  if (whole == count) return;
  memory.copy(TAIL_CODES, at + (whole >> 1), (count - whole + 1) >> 1);
  storeSixteen(format, TAIL_CODES, scale, TAIL);
  memory.copy(to + (whole << 2), TAIL, (count - whole) << 2);
}

/** Decodes rows [first, first + rows) of E2M1 codes, of which `group` columns of a row share a scale. */
export function decodeE2m1(codes: usize, scales: usize, cols: usize, group: usize, first: usize, rows: usize, to: usize): void {
  const across = (cols + group - 1) / group;
  const rowBytes = (cols + 1) >> 1;
  let into = to;
  for (let row = first; row < first + rows; row++) {
    for (let index: usize = 0; index < across; index++) {
      const col = index * group;
      const count = min(group, cols - col);
      const scale = f32x4.splat(scaleAt(scales, row * across + index));
      storeSome(E2M1, codes + row * rowBytes + (col >> 1), count, scale, into);
      into += count << 2;
    }
  }
}

/** Decodes the NF4 values [first, first + count) of a tensor that is cut flat into blocks with a scale each. */
export function decodeNf4(codes: usize, scales: usize, block: usize, first: usize, count: usize, to: usize): void {
  const end = first + count;
  for (let i = first; i < end; ) {
    const scale = f32x4.splat(scaleAt(scales, i / block));
    const into = to + ((i - first) << 2);
    if ((i & 1) != 0) {
      // the second value of its byte
      store<u8>(TAIL_CODES, load<u8>(codes + (i >> 1)) << 4);
      storeSixteen(NF4, TAIL_CODES, scale, TAIL);
      store<f32>(into, load<f32>(TAIL));
      i++;
      continue;
    }
    const held = min(block - (i % block), end - i);
    storeSome(NF4, codes + (i >> 1), held, scale, into);
    i += held;
  }
}
