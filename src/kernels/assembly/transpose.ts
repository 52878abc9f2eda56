/**
 * Float32 of four places `stride` bytes apart, side by side: value i of all four, then value i + 1. `count` values of each
 * are a multiple of 4.
 */
export function transposeFour(from: usize, stride: usize, count: usize, to: usize): void {
  for (let i: usize = 0; i < count; i += 4) {
    const at = from + 4 * i;
    const a = v128.load(at);
    const b = v128.load(at + stride);
    const c = v128.load(at + 2 * stride);
    const d = v128.load(at + 3 * stride);
    const abLow = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
    const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cdLow = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    const lanes = to + 16 * i;
    v128.store(lanes, v128.shuffle<i64>(abLow, cdLow, 0, 2));
    v128.store(lanes, v128.shuffle<i64>(abLow, cdLow, 1, 3), 16);
    v128.store(lanes, v128.shuffle<i64>(abHigh, cdHigh, 0, 2), 32);
    v128.store(lanes, v128.shuffle<i64>(abHigh, cdHigh, 1, 3), 48);
  }
}
