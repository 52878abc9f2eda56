// Weights beyond the ends of their grid: the count of core/error-sums.ts. Twin of test/kernels/plain-errors.ts.
import { BF16, bytesOf, F16, F32 } from './lanes';
import { countOutside, total } from './outside';
import { scaleAt, zeroPointAt } from './stored_grids';

/** The grid of the call at hand: its first and last value in units of its scale, and half of its last step over its range. */
let first: f32 = 0;
let last: f32 = 0;
let halfStep: f32 = 0;
/** Bits of zero points, 0 where the scheme has none, and what is put over a byte of them. */
let bits: i32 = 0;
let flip: i32 = 0;

export function gridSettings(firstValue: f32, lastValue: f32, halfOfStep: f32, zeroBits: i32, flipped: i32): void {
  first = firstValue;
  last = lastValue;
  halfStep = halfOfStep;
  bits = zeroBits;
  flip = flipped;
}

/** Groups whose ends are worked out at a time, half a step further out. */
const BATCH: usize = 64;
const BELOW: usize = memory.data(256, 16);
const ABOVE: usize = memory.data(256, 16);

// @ts-ignore: decorator
@inline
function zeroAt(zeroPoints: usize, index: usize): f32 {
  return <f32>zeroPointAt(bits, zeroPoints, index, flip);
}

/** Ends of `count` groups to BELOW and ABOVE. */
function noteEnds(scales: usize, index: usize, zeroPoints: usize, zeroIndex: usize, count: usize): void {
  for (let i: usize = 0; i < count; i += 4) {
    const j = min(i + 1, count - 1);
    const k = min(i + 2, count - 1);
    const l = min(i + 3, count - 1);
    let scale = f32x4.splat(scaleAt(scales, index + i));
    scale = f32x4.replace_lane(scale, 1, scaleAt(scales, index + j));
    scale = f32x4.replace_lane(scale, 2, scaleAt(scales, index + k));
    scale = f32x4.replace_lane(scale, 3, scaleAt(scales, index + l));
    let zero = f32x4.splat(0);
    if (bits != 0) {
      zero = f32x4.splat(zeroAt(zeroPoints, zeroIndex + i));
      zero = f32x4.replace_lane(zero, 1, zeroAt(zeroPoints, zeroIndex + j));
      zero = f32x4.replace_lane(zero, 2, zeroAt(zeroPoints, zeroIndex + k));
      zero = f32x4.replace_lane(zero, 3, zeroAt(zeroPoints, zeroIndex + l));
    }
    const at = i << 2;
    const a = f32x4.mul(f32x4.sub(f32x4.splat(first), zero), scale);
    const b = f32x4.mul(f32x4.sub(f32x4.splat(last), zero), scale);
    const low = f32x4.pmin(a, b);
    const high = f32x4.pmax(a, b);
    const half = f32x4.mul(f32x4.sub(high, low), f32x4.splat(halfStep));
    v128.store(BELOW + at, f32x4.sub(low, half));
    v128.store(ABOVE + at, f32x4.add(high, half));
  }
}

// @ts-ignore: decorator
@inline
function countRows(
  dtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  scales: usize,
  zeroPoints: usize,
  zeroStride: usize,
): u32 {
  const across = (cols + blockCols - 1) / blockCols;
  let counts = i32x4.splat(0);
  let source = from;
  for (let row: usize = 0; row < rows; row++) {
    const index = (row / blockRows) * across;
    let left = cols;
    for (let group: usize = 0; group < across; group += BATCH) {
      const taken = min(BATCH, across - group);
      noteEnds(scales, index + group, zeroPoints, row * zeroStride + group, taken);
      for (let at: usize = 0; at < taken << 2; at += 4) {
        const held = min(blockCols, left);
        counts = countOutside(dtype, source, held, BELOW + at, ABOVE + at, counts);
        source += held * bytesOf(dtype);
        left -= held;
      }
    }
  }
  return total(counts);
}

/**
 * How many values of `rows` rows at `from` stand beyond the ends of their grid. Scales and zero points are those of the
 * scheme's parts from their first row on; `blockRows` and `blockCols` share a scale, `zeroStride` counts a row's zero
 * points.
 */
export function countSaturated(
  dtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  blockRows: usize,
  blockCols: usize,
  scales: usize,
  zeroPoints: usize,
  zeroStride: usize,
): u32 {
  if (dtype == BF16) return countRows(BF16, from, rows, cols, blockRows, blockCols, scales, zeroPoints, zeroStride);
  if (dtype == F16) return countRows(F16, from, rows, cols, blockRows, blockCols, scales, zeroPoints, zeroStride);
  return countRows(F32, from, rows, cols, blockRows, blockCols, scales, zeroPoints, zeroStride);
}
