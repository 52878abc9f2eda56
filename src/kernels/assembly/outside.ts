// How many stored values stand outside of a range that 0 is in.
import { BF16, bytesOf, fourValues } from './lanes';

/** Sixteen bytes of ones, then of zeros. */
const ONES: usize = memory.data<i32>([-1, -1, -1, -1, 0, 0, 0, 0], 16);

/** All ones in the first `count` of eight lanes. */
// @ts-ignore: decorator
@inline
function wordsBelow(count: usize): v128 {
  return v128.load(ONES + 16 - (count << 1));
}

/** Sum of the four lanes. */
// @ts-ignore: decorator
@inline
export function total(counts: v128): u32 {
  return (
    i32x4.extract_lane(counts, 0) +
    i32x4.extract_lane(counts, 1) +
    i32x4.extract_lane(counts, 2) +
    i32x4.extract_lane(counts, 3)
  );
}

/** Marks of eight values, -1 or 0 in lanes of 16 bits, from those of four and four in lanes of 32. */
// @ts-ignore: decorator
@inline
export function marksOf(first: v128, second: v128): v128 {
  return i16x8.narrow_i32x4_s(first, second);
}

// @ts-ignore: decorator
@inline
function outsideFour(dtype: i32, at: usize, low: v128, high: v128): v128 {
  const values = fourValues(dtype, at);
  return v128.or(f32x4.lt(values, low), f32x4.gt(values, high));
}

// @ts-ignore: decorator
@inline
function outsideEight(dtype: i32, at: usize, low: v128, high: v128): v128 {
  if (dtype == BF16) {
    const bits = v128.load(at);
    const flipped = v128.xor(bits, i16x8.splat(i16.MIN_VALUE));
    return v128.or(i16x8.gt_s(bits, high), i16x8.gt_s(flipped, low));
  }
  return marksOf(outsideFour(dtype, at, low, high), outsideFour(dtype, at + 4 * bytesOf(dtype), low, high));
}

/** Adds marks of eight values to counts in four lanes. */
// @ts-ignore: decorator
@inline
export function counted(counts: v128, marks: v128): v128 {
  return i32x4.sub(counts, i32x4.extadd_pairwise_i16x8_s(marks));
}

/**
 * Adds to four lanes of `counts` how many of `count` values are below the float32 at `from` or above that at `to`, between
 * which 0 is. bfloat16 is compared by its bits: of greater magnitude than a float32 are those above its upper half.
 */
// @ts-ignore: decorator
@inline
export function countOutside(dtype: i32, at: usize, count: usize, from: usize, to: usize, counts: v128): v128 {
  const size = bytesOf(dtype);
  const magnitude = i16x8.splat(i16.MAX_VALUE);
  const low = dtype == BF16 ? v128.and(v128.load16_splat(from, 2), magnitude) : v128.load32_splat(from);
  const high = dtype == BF16 ? v128.and(v128.load16_splat(to, 2), magnitude) : v128.load32_splat(to);
  let sum = counts;
  let source = at;
  const end = at + (count & ~7) * size;
  for (; source + 16 * size <= end; source += 16 * size) {
    const marks = outsideEight(dtype, source, low, high);
    sum = counted(sum, i16x8.add(marks, outsideEight(dtype, source + 8 * size, low, high)));
  }
  if (source < end) {
    sum = counted(sum, outsideEight(dtype, source, low, high));
    source += 8 * size;
  }
  const last = count & 7;
  if (last == 0) return sum;
  // eight are read, those that are none of the range count for nothing
  return counted(sum, v128.and(outsideEight(dtype, source, low, high), wordsBelow(last)));
}
