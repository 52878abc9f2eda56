// What quantizing took from rows of weights: twin of engine/row-errors.ts, where the sums are defined. The state at
// `state` is that of core/error-sums.ts.
import {
  above,
  below,
  decoded,
  eightBytes,
  firstCodes,
  firstValues,
  HALF,
  INT4,
  nearlyHalfStep,
  pairsAt,
  scale,
  secondCodes,
  secondValues,
  setEnds,
  setGrid,
  zeroByte,
  zeroPoint,
} from './error_grids';
import { BF16, bytesOf, F16, F32 } from './lanes';

/** The last, incomplete eight values of a row, their codes, and eight values and what stands for them. */
const TAIL: usize = memory.data(32, 16);
const TAIL_CODES: usize = memory.data(16, 16);
const VALUES: usize = memory.data(32, 16);
const DECODED: usize = memory.data(32, 16);

/** Where sums of squares of float32 within a row are far from under- and overflow. */
const LEAST_SIGNAL: f64 = 8.673617379884035e-19; // 2^-60
const MOST_SIGNAL: f64 = 1.2676506002282294e30; // 2^100

/** All ones in the lanes of places below `count` of eight; `odd` for the lanes at odd places. */
// @ts-ignore: decorator
@inline
function lanesBelow(count: usize, odd: i32): v128 {
  return i32x4.lt_s(i32x4(0, 2, 4, 6), i32x4.splat(<i32>count - odd));
}

// @ts-ignore: decorator
@inline
function total(counts: v128): u32 {
  return (
    i32x4.extract_lane(counts, 0) +
    i32x4.extract_lane(counts, 1) +
    i32x4.extract_lane(counts, 2) +
    i32x4.extract_lane(counts, 3)
  );
}

// @ts-ignore: decorator
@inline
function countOutside(dtype: i32, at: usize, count: usize, from: f32, to: f32): u32 {
  const low = f32x4.splat(from);
  const high = f32x4.splat(to);
  let counts = i32x4.splat(0);
  const size = bytesOf(dtype);
  for (let done: usize = 0; done < count; done += 8) {
    let source = at + done * size;
    if (count - done < 8) {
      memory.copy(TAIL, source, (count - done) * size);
      source = TAIL;
    }
    const first = firstValues(dtype, source);
    const second = secondValues(dtype, source);
    let a = v128.or(f32x4.lt(first, low), f32x4.gt(first, high));
    let b = v128.or(f32x4.lt(second, low), f32x4.gt(second, high));
    if (count - done < 8) {
      a = v128.and(a, lanesBelow(count - done, 0));
      b = v128.and(b, lanesBelow(count - done, 1));
    }
    counts = i32x4.sub(i32x4.sub(counts, a), b);
  }
  return total(counts);
}

/** As countOutside, of bfloat16 by its bits: beyond a float32 are those whose bits are greater than its upper half. */
function countBrains(at: usize, count: usize, from: f32, to: f32): u32 {
  if (from != -to) return countOutside(BF16, at, count, from, to);
  const limit = i16x8.splat(<i16>(reinterpret<u32>(to) >> 16));
  const magnitude = i16x8.splat(0x7fff);
  let counts = i32x4.splat(0);
  const whole = at + ((count & ~7) << 1);
  for (let source = at; source < whole; ) {
    // a lane of 16 bits counts to 32767
    const stop = min(whole, source + (16384 << 4));
    let some = i16x8.splat(0);
    for (; source < stop; source += 16) {
      some = i16x8.sub(some, i16x8.gt_s(v128.and(v128.load(source), magnitude), limit));
    }
    counts = i32x4.add(counts, i32x4.extadd_pairwise_i16x8_s(some));
  }
  return total(counts) + (whole < at + (count << 1) ? countOutside(BF16, whole, count & 7, from, to) : 0);
}

function countHalves(at: usize, count: usize, from: f32, to: f32): u32 {
  return countOutside(F16, at, count, from, to);
}

function countFloats(at: usize, count: usize, from: f32, to: f32): u32 {
  return countOutside(F32, at, count, from, to);
}

/** How many of `count` values stand outside of [from, to]; `count` may end within eight. */
// @ts-ignore: decorator
@inline
function countBeyond(dtype: i32, at: usize, count: usize, from: f32, to: f32): u32 {
  if (dtype == BF16) return countBrains(at, count, from, to);
  return dtype == F16 ? countHalves(at, count, from, to) : countFloats(at, count, from, to);
}

/** Writes eight values and what stands for them, in order, to VALUES and DECODED. */
// @ts-ignore: decorator
@inline
function storeEight(format: i32, dtype: i32, source: usize, codes: usize): void {
  const pairs = pairsAt(format, codes);
  const a = firstValues(dtype, source);
  const b = secondValues(dtype, source);
  v128.store(VALUES, v128.shuffle<f32>(a, b, 0, 4, 1, 5));
  v128.store(VALUES, v128.shuffle<f32>(a, b, 2, 6, 3, 7), 16);
  const scales = f32x4.splat(scale);
  const zeros = f32x4.splat(zeroPoint);
  const c = decoded(format, firstCodes(format, pairs), scales, zeros);
  const d = decoded(format, secondCodes(format, pairs), scales, zeros);
  v128.store(DECODED, v128.shuffle<f32>(c, d, 0, 4, 1, 5));
  v128.store(DECODED, v128.shuffle<f32>(c, d, 2, 6, 3, 7), 16);
}

// @ts-ignore: decorator
@inline
function countBin(value: f32, inverse: f32, bins: usize): void {
  const place = min<f32>(49, max<f32>(-49, floor<f32>(value * inverse + 0.5)));
  const at = bins + ((<usize>(<i32>place + 49)) << 2);
  store<u32>(at, load<u32>(at) + 1);
}

/**
 * Goes over a row value by value: into sums by lanes in float64, for rows whose squares leave the range of float32, or,
 * where `sums` is 0, into the bins of the histogram.
 */
function goOverRow(
  format: i32,
  dtype: i32,
  from: usize,
  cols: usize,
  groupCols: usize,
  codes: usize,
  scales: usize,
  index: usize,
  zeroPoints: usize,
  zeroIndex: usize,
  inverse: f32,
  state: usize,
  sums: usize,
): void {
  const size = bytesOf(dtype);
  for (let col: usize = 0; col < cols; col += 8) {
    const block = col / groupCols;
    setGrid(format, scales, index + block, zeroPoints, zeroIndex + block);
    const count = min<usize>(8, cols - col);
    let source = from + col * size;
    let at = codes + (col >> 3) * eightBytes(format);
    if (count < 8) {
      memory.copy(TAIL, source, count * size);
      memory.copy(TAIL_CODES, at, (count * eightBytes(format) + 7) >> 3);
      source = TAIL;
      at = TAIL_CODES;
    }
    storeEight(format, dtype, source, at);
    for (let i: usize = 0; i < count; i++) {
      const r = load<f32>(VALUES + (i << 2));
      const a = load<f32>(DECODED + (i << 2));
      if (sums == 0) {
        countBin(r, inverse, state + 48);
        countBin(a, inverse, state + 48 + 396);
      } else {
        const lane = sums + ((i >> 1) << 3);
        const x = <f64>r;
        const d = <f64>(r - a);
        store<f64>(lane, load<f64>(lane) + x * x);
        store<f64>(lane, load<f64>(lane, 32) + d * d, 32);
        store<f64>(lane, load<f64>(lane, 64) + x * d, 64);
      }
    }
  }
}

const LANES: usize = memory.data(96, 16);

// @ts-ignore: decorator
@inline
function sumOfLanes(at: usize): f64 {
  return load<f64>(at) + load<f64>(at, 8) + (load<f64>(at, 16) + load<f64>(at, 24));
}

// @ts-ignore: decorator
@inline
function addTo(at: usize, value: f64): void {
  store<f64>(at, load<f64>(at) + value);
}

// @ts-ignore: decorator
@inline
function foldInto(at: usize, sums: v128): void {
  v128.store(at, f64x2.add(v128.load(at), f64x2.promote_low_f32x4(sums)));
  const upper = f64x2.promote_low_f32x4(v128.shuffle<f32>(sums, sums, 2, 3, 2, 3));
  v128.store(at, f64x2.add(v128.load(at, 16), upper), 16);
}

/** Copies the last, incomplete eight values of a row and their codes; zeros follow. */
// @ts-ignore: decorator
@inline
function loadTail(format: i32, dtype: i32, source: usize, codes: usize, count: usize): void {
  memory.fill(TAIL, 0, 32);
  memory.copy(TAIL, source, count * bytesOf(dtype));
  const zero = zeroByte(format);
  memory.fill(TAIL_CODES, zero, 16);
  memory.copy(TAIL_CODES, codes, (count * eightBytes(format)) >> 3);
  if (format != INT4 || (count & 1) == 0) return;
  const last = TAIL_CODES + (count >> 1);
  store<u8>(last, (load<u8>(codes + (count >> 1)) & 15) | (zero & 0xf0));
}

/** One row: its codes, the number of its first scale and of its first zero point. */
// @ts-ignore: decorator
@inline
export function measureRow(
  format: i32,
  dtype: i32,
  from: usize,
  cols: usize,
  groupCols: usize,
  codes: usize,
  scales: usize,
  index: usize,
  zeroPoints: usize,
  zeroIndex: usize,
  isSampled: bool,
  state: usize,
): void {
  const size = bytesOf(dtype);
  const zero = f32x4.splat(0);
  memory.fill(LANES, 0, 96);
  let signal = zero;
  let noise = zero;
  let cross = zero;
  let rowGreatest = zero;
  let zeroed = i32x4.splat(0);
  let saturated: u32 = 0;
  let block: usize = 0;
  const codeBytes = eightBytes(format);
  for (let group: usize = 0; group < cols; group += groupCols) {
    setGrid(format, scales, index + block, zeroPoints, zeroIndex + block);
    block++;
    const gridScale = f32x4.splat(scale);
    const gridZero = f32x4.splat(zeroPoint);
    const groupEnd = min(group + groupCols, cols);
    for (let piece = group; piece < groupEnd; ) {
      const end = min((piece | 63) + 1, groupEnd);
      const count = end - piece;
      let highest = zero;
      let lowest = zero;
      let source = from + piece * size;
      let at = codes + (piece >> 3) * codeBytes;
      let stop = source + (count & ~7) * size;
      let left = count & 7;
      for (;;) {
        for (; source < stop; source += 8 * size) {
          const pairs = pairsAt(format, at);
          at += codeBytes;
          const r = firstValues(dtype, source);
          const s = secondValues(dtype, source);
          const a = decoded(format, firstCodes(format, pairs), gridScale, gridZero);
          const b = decoded(format, secondCodes(format, pairs), gridScale, gridZero);
          const d = f32x4.sub(r, a);
          const e = f32x4.sub(s, b);
          signal = f32x4.add(f32x4.add(signal, f32x4.mul(r, r)), f32x4.mul(s, s));
          noise = f32x4.add(f32x4.add(noise, f32x4.mul(d, d)), f32x4.mul(e, e));
          cross = f32x4.add(f32x4.add(cross, f32x4.mul(r, d)), f32x4.mul(s, e));
          highest = f32x4.pmax(f32x4.pmax(highest, d), e);
          lowest = f32x4.pmin(f32x4.pmin(lowest, d), e);
          zeroed = i32x4.sub(zeroed, v128.andnot(f32x4.eq(a, zero), f32x4.eq(r, zero)));
          zeroed = i32x4.sub(zeroed, v128.andnot(f32x4.eq(b, zero), f32x4.eq(s, zero)));
        }
        if (left == 0) break;
        loadTail(format, dtype, source, at, left);
        left = 0;
        source = TAIL;
        at = TAIL_CODES;
        stop = TAIL + 8 * size;
      }
      const greatest = f32x4.pmax(highest, f32x4.neg(lowest));
      if (format < HALF && v128.any_true(f32x4.ge(greatest, f32x4.splat(nearlyHalfStep(format))))) {
        setEnds(format);
        saturated += countBeyond(dtype, from + piece * size, end - piece, below, above);
      }
      rowGreatest = f32x4.pmax(rowGreatest, greatest);
      if ((end & 63) == 0 || end == cols) {
        foldInto(LANES, signal);
        foldInto(LANES + 32, noise);
        foldInto(LANES + 64, cross);
        signal = zero;
        noise = zero;
        cross = zero;
      }
      piece = end;
    }
  }
  const folded = sumOfLanes(LANES);
  if (!(folded >= LEAST_SIGNAL && folded <= MOST_SIGNAL)) {
    memory.fill(LANES, 0, 96);
    goOverRow(format, dtype, from, cols, groupCols, codes, scales, index, zeroPoints, zeroIndex, 0, state, LANES);
  }
  const rowSignal = sumOfLanes(LANES);
  addTo(state, rowSignal);
  addTo(state + 8, sumOfLanes(LANES + 32));
  addTo(state + 16, sumOfLanes(LANES + 64));
  let greatest = load<f32>(state, 24);
  v128.store(LANES, rowGreatest);
  for (let at = LANES; at < LANES + 16; at += 4) if (greatest < load<f32>(at)) greatest = load<f32>(at);
  store<f32>(state, greatest, 24);
  store<u32>(state, load<u32>(state, 28) + saturated, 28);
  store<u32>(state, load<u32>(state, 32) + total(zeroed), 32);
  const rms = <f32>Math.sqrt(rowSignal / <f64>cols);
  const limit: f32 = 6 * rms;
  store<u32>(state, load<u32>(state, 36) + countBeyond(dtype, from, cols, -limit, limit), 36);
  if (isSampled && rms > 0) {
    const inverse: f32 = 8 / rms;
    goOverRow(format, dtype, from, cols, groupCols, codes, scales, index, zeroPoints, zeroIndex, inverse, state, 0);
  }
}
