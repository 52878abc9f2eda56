// Range and greatest error of groups of rows: twin of test/kernels/group-ranges.test.ts.

// @ts-ignore: decorator
@inline
function greatestLane(lanes: v128): f32 {
  const pairs = f32x4.pmax(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

// @ts-ignore: decorator
@inline
function greatestBits(lanes: v128): i32 {
  const pairs = i32x4.max_s(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return max(i32x4.extract_lane(pairs, 0), i32x4.extract_lane(pairs, 1));
}

/**
 * For each `group` columns of each row, float32 at `to`: the least and the greatest of 0 and the values at `reference`,
 * and the greatest magnitude of what those at `actual` are off them, NaN where one is.
 */
export function groupRanges(reference: usize, actual: usize, rows: usize, cols: usize, group: usize, to: usize): void {
  const magnitude = i32x4.splat(i32.MAX_VALUE);
  let at = reference;
  let other = actual;
  let into = to;
  for (let row: usize = 0; row < rows; row++) {
    for (let col: usize = 0; col < cols; col += group) {
      let low = f32x4.splat(0);
      let high = low;
      let error = i32x4.splat(0);
      const count = min(group, cols - col);
      const whole = at + ((count & ~3) << 2);
      for (; at < whole; at += 16, other += 16) {
        const values = v128.load(at);
        low = f32x4.pmin(low, values);
        high = f32x4.pmax(high, values);
        error = i32x4.max_s(error, v128.and(f32x4.sub(values, v128.load(other)), magnitude));
      }
      for (const end = whole + ((count & 3) << 2); at < end; at += 4, other += 4) {
        const value = v128.load32_splat(at);
        low = f32x4.pmin(low, value);
        high = f32x4.pmax(high, value);
        error = i32x4.max_s(error, v128.and(f32x4.sub(value, v128.load32_splat(other)), magnitude));
      }
      store<f32>(into, -greatestLane(f32x4.neg(low)));
      store<f32>(into, greatestLane(high), 4);
      store<i32>(into, greatestBits(error), 8);
      into += 12;
    }
  }
}
