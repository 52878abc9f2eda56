// ggml's blocks to float32: twins of `decode` in schemes/ggml/simple_blocks.ts and super_blocks.ts.
import { storeIntegers, storeShifted } from './decoded_lanes';
import { Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0 } from './ggml_formats';
import { halfAt } from './stored_grids';

/** The block at the end of a row that no block divides. */
const LAST: usize = memory.data(1024, 16);

// @ts-ignore: decorator
@inline
function lowNibbles(bytes: v128): v128 {
  return v128.and(bytes, i8x16.splat(15));
}

// @ts-ignore: decorator
@inline
function highNibbles(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
}

/** 16 in each of sixteen bytes whose bit is set in the two bytes at `at`. */
// @ts-ignore: decorator
@inline
function fifthBits(at: usize): v128 {
  const bits = i8x16.swizzle(v128.load16_splat(at), i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const places = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return v128.and(i8x16.eq(v128.and(bits, places), places), i8x16.splat(16));
}

/** A block of 32 codes of 4 or 5 bits with a scale, offset by half their number, or with a least value. */
// @ts-ignore: decorator
@inline
function decodeNibbles(bits: i32, hasMinimum: bool, from: usize, to: usize): void {
  const head: usize = hasMinimum ? 4 : 2;
  const bytes = v128.load(from + head + (bits == 5 ? 4 : 0));
  let low = lowNibbles(bytes);
  let high = highNibbles(bytes);
  if (bits == 5) {
    low = v128.or(low, fifthBits(from + head));
    high = v128.or(high, fifthBits(from + head + 2));
  }
  const scale = f32x4.splat(halfAt(from));
  if (hasMinimum) {
    const least = f32x4.splat(halfAt(from + 2));
    storeShifted(low, scale, least, to);
    storeShifted(high, scale, least, to + 64);
  } else {
    const middle = i8x16.splat(bits == 5 ? 16 : 8);
    storeIntegers(i8x16.sub(low, middle), scale, to);
    storeIntegers(i8x16.sub(high, middle), scale, to + 64);
  }
}

// @ts-ignore: decorator
@inline
function decodeQ8_0(from: usize, to: usize): void {
  const scale = f32x4.splat(halfAt(from));
  storeIntegers(v128.load(from, 2), scale, to);
  storeIntegers(v128.load(from, 18), scale, to + 64);
}

// @ts-ignore: decorator
@inline
function sixBits(scales: usize, j: usize, isMinimum: bool): f32 {
  if (j < 4) return <f32>(load<u8>(scales + j + (isMinimum ? 4 : 0)) & 63);
  const low = <u32>load<u8>(scales + j + 4);
  const high = <u32>load<u8>(scales + j - (isMinimum ? 0 : 4)) >> 6;
  return <f32>((isMinimum ? low >> 4 : low & 15) | (high << 4));
}

/** Q4_K and Q5_K: eight groups of 32, nibbles of two groups in the same bytes. */
// @ts-ignore: decorator
@inline
function decodeWithMinimum(bits: i32, from: usize, to: usize): void {
  const scale = halfAt(from);
  const least = halfAt(from + 2);
  const nibbles = from + (bits == 5 ? 48 : 16);
  for (let j: usize = 0; j < 8; j++) {
    const d = f32x4.splat(scale * sixBits(from + 4, j, false));
    const offset = f32x4.splat(-(least * sixBits(from + 4, j, true)));
    for (let i: usize = 0; i < 32; i += 16) {
      const bytes = v128.load(nibbles + ((j >> 1) << 5) + i);
      let codes = (j & 1) == 0 ? lowNibbles(bytes) : highNibbles(bytes);
      if (bits == 5) {
        const fifths = v128.and(i8x16.shr_u(v128.load(from + 16 + i), <i32>j), i8x16.splat(1));
        codes = v128.or(codes, i16x8.shl(fifths, 4));
      }
      storeShifted(codes, d, offset, to + (j << 7) + (i << 2));
    }
  }
}

/** Sixteen codes of Q6_K from their nibbles and the byte that holds their high bits. */
// @ts-ignore: decorator
@inline
function storeSixBits(nibbles: v128, pairs: v128, shift: i32, scale: f32, at: usize, group: usize, to: usize): void {
  const high = i16x8.shl(v128.and(i16x8.shr_u(pairs, shift), i8x16.splat(3)), 4);
  const codes = i8x16.sub(v128.or(nibbles, high), i8x16.splat(32));
  storeIntegers(codes, f32x4.splat(scale * <f32>load<i8>(at + group)), to + (group << 6));
}

// @ts-ignore: decorator
@inline
function decodeQ6_K(from: usize, to: usize): void {
  const scale = halfAt(from + 208);
  const scales = from + 192;
  for (let half: usize = 0; half < 2; half++) {
    for (let i: usize = 0; i < 2; i++) {
      const low = v128.load(from + (half << 6) + (i << 4));
      const next = v128.load(from + (half << 6) + (i << 4), 32);
      const pairs = v128.load(from + (half << 5) + (i << 4), 128);
      const group = (half << 3) + i;
      storeSixBits(lowNibbles(low), pairs, 0, scale, scales, group, to);
      storeSixBits(lowNibbles(next), pairs, 2, scale, scales, group + 2, to);
      storeSixBits(highNibbles(low), pairs, 4, scale, scales, group + 4, to);
      storeSixBits(highNibbles(next), pairs, 6, scale, scales, group + 6, to);
    }
  }
}

// @ts-ignore: decorator
@inline
function decodeBlock(format: i32, from: usize, to: usize): void {
  if (format == Q4_0) decodeNibbles(4, false, from, to);
  else if (format == Q4_1) decodeNibbles(4, true, from, to);
  else if (format == Q5_0) decodeNibbles(5, false, from, to);
  else if (format == Q5_1) decodeNibbles(5, true, from, to);
  else if (format == Q8_0) decodeQ8_0(from, to);
  else if (format == Q4_K) decodeWithMinimum(4, from, to);
  else if (format == Q5_K) decodeWithMinimum(5, from, to);
  else decodeQ6_K(from, to);
}

// @ts-ignore: decorator
@inline
function decodeRows(format: i32, block: usize, blockBytes: usize, codes: usize, cols: usize, rows: usize, to: usize): void {
  let from = codes;
  let into = to;
  for (let row: usize = 0; row < rows; row++) {
    for (let col: usize = 0; col < cols; col += block) {
      const count = min(block, cols - col);
      if (count == block) decodeBlock(format, from, into);
      else {
        decodeBlock(format, from, LAST);
        memory.copy(into, LAST, count << 2);
      }
      from += blockBytes;
      into += count << 2;
    }
  }
}

// A function each: V8 optimizes a whole function once it is hot, and needs only one of these at a time.

function q4_0(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q4_0, 32, 18, codes, cols, rows, to);
}
function q4_1(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q4_1, 32, 20, codes, cols, rows, to);
}
function q5_0(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q5_0, 32, 22, codes, cols, rows, to);
}
function q5_1(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q5_1, 32, 24, codes, cols, rows, to);
}
function q8_0(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q8_0, 32, 34, codes, cols, rows, to);
}
function q4_k(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q4_K, 256, 144, codes, cols, rows, to);
}
function q5_k(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q5_K, 256, 176, codes, cols, rows, to);
}
function q6_k(codes: usize, cols: usize, rows: usize, to: usize): void {
  decodeRows(Q6_K, 256, 210, codes, cols, rows, to);
}

/** Decodes whole rows of blocks. `format` is the number in ggml_formats.ts. */
export function decodeGgml(format: i32, codes: usize, cols: usize, rows: usize, to: usize): void {
  if (format == Q4_0) q4_0(codes, cols, rows, to);
  else if (format == Q4_1) q4_1(codes, cols, rows, to);
  else if (format == Q5_0) q5_0(codes, cols, rows, to);
  else if (format == Q5_1) q5_1(codes, cols, rows, to);
  else if (format == Q8_0) q8_0(codes, cols, rows, to);
  else if (format == Q4_K) q4_k(codes, cols, rows, to);
  else if (format == Q5_K) q5_k(codes, cols, rows, to);
  else q6_k(codes, cols, rows, to);
}
