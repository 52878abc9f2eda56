// What stands for rows of weights against the weights themselves: the sums of core/error-sums.ts, whose state lies at
// `state`. Twin of test/kernels/plain-errors.ts. Products of 128 columns of a row are added up in float32 in eight lanes,
// lanes 4 to 7 to lanes 0 to 3, and these go on in float64: how rows are cut into calls changes nothing.
import { BF16, bytesOf, F16, F32, fourValues, halfValues } from './lanes';
import { counted, marksOf, total } from './outside';

/** The last, incomplete eight values of a row, and what stands for them. */
const TAIL: usize = memory.data(32, 16);
const TAIL_DECODED: usize = memory.data(32, 16);
/** Four lanes of float64 each of signal, noise and cross. */
const LANES: usize = memory.data(96, 16);

/** Columns whose products are added up in float32 before they go on in float64. */
const FOLD: usize = 128;
/** Columns that are counted in lanes of 16 bits. */
const COUNTED: usize = 4096;
/** Where sums of squares of float32 within a row are far from under- and overflow. */
const LEAST_SIGNAL: f64 = 8.673617379884035e-19; // 2^-60
const MOST_SIGNAL: f64 = 1.2676506002282294e30; // 2^100
const BINS: usize = 48;
const BIN_BYTES: usize = 396;

// @ts-ignore: decorator
@inline
function addTo(at: usize, value: f64): void {
  store<f64>(at, load<f64>(at) + value);
}

// @ts-ignore: decorator
@inline
function count(at: usize, more: u32): void {
  store<u32>(at, load<u32>(at) + more);
}

// @ts-ignore: decorator
@inline
function sumOfLanes(at: usize): f64 {
  return load<f64>(at) + load<f64>(at, 8) + (load<f64>(at, 16) + load<f64>(at, 24));
}

// @ts-ignore: decorator
@inline
function clearLanes(): void {
  const zero = i32x4.splat(0);
  for (let at = LANES; at < LANES + 96; at += 16) v128.store(at, zero);
}

/** Adds eight lanes of float32 to four of float64: the second four to the first in float32. */
// @ts-ignore: decorator
@inline
function fold(at: usize, first: v128, second: v128): void {
  const sums = f32x4.add(first, second);
  v128.store(at, f64x2.add(v128.load(at), f64x2.promote_low_f32x4(sums)));
  const upper = f64x2.promote_low_f32x4(v128.shuffle<f32>(sums, sums, 2, 3, 2, 3));
  v128.store(at, f64x2.add(v128.load(at, 16), upper), 16);
}

/** Done before the loops: around a call the engine would spill what they have in registers. */
function holdTail(from: usize, nbytes: usize, decoded: usize, decodedBytes: usize): void {
  memory.fill(TAIL, 0, 32);
  memory.fill(TAIL_DECODED, 0, 32);
  memory.copy(TAIL, from, nbytes);
  memory.copy(TAIL_DECODED, decoded, decodedBytes);
}

/** Sums of a row to LANES; its greatest error to the state. */
// @ts-ignore: decorator
@inline
function sumRow(dtype: i32, from: usize, decoded: usize, cols: usize, state: usize): void {
  const size = bytesOf(dtype);
  const zero = f32x4.splat(0);
  const last = cols & 7;
  const whole = cols - last;
  if (last != 0) holdTail(from + whole * size, last * size, decoded + (whole << 2), last << 2);
  clearLanes();
  // magnitudes are in the order of their bits, NaN last
  const magnitude = i32x4.splat(i32.MAX_VALUE);
  let greatest = i32x4.splat(0);
  let source = from;
  let at = decoded;
  for (let col: usize = 0; col < cols; col += FOLD) {
    let signalA = zero;
    let signalB = zero;
    let noiseA = zero;
    let noiseB = zero;
    let crossA = zero;
    let crossB = zero;
    const held = min(FOLD, cols - col);
    let stop = source + (held & ~7) * size;
    let isWhole = (held & 7) == 0;
    for (;;) {
      for (; source < stop; source += 8 * size) {
        const r = fourValues(dtype, source);
        const s = fourValues(dtype, source + 4 * size);
        const a = v128.load(at);
        const b = v128.load(at, 16);
        at += 32;
        const d = f32x4.sub(r, a);
        const e = f32x4.sub(s, b);
        signalA = f32x4.add(signalA, f32x4.mul(r, r));
        signalB = f32x4.add(signalB, f32x4.mul(s, s));
        noiseA = f32x4.add(noiseA, f32x4.mul(d, d));
        noiseB = f32x4.add(noiseB, f32x4.mul(e, e));
        crossA = f32x4.add(crossA, f32x4.mul(r, d));
        crossB = f32x4.add(crossB, f32x4.mul(s, e));
        greatest = i32x4.max_s(i32x4.max_s(greatest, v128.and(d, magnitude)), v128.and(e, magnitude));
      }
      if (isWhole) break;
      isWhole = true;
      source = TAIL;
      at = TAIL_DECODED;
      stop = TAIL + 8 * size;
    }
    fold(LANES, signalA, signalB);
    fold(LANES + 32, noiseA, noiseB);
    fold(LANES + 64, crossA, crossB);
  }
  const first = max(i32x4.extract_lane(greatest, 0), i32x4.extract_lane(greatest, 1));
  const second = max(i32x4.extract_lane(greatest, 2), i32x4.extract_lane(greatest, 3));
  store<i32>(state, max(load<i32>(state, 24), max(first, second)), 24);
}

/** Magnitudes beyond `limit` of eight values, marked. */
// @ts-ignore: decorator
@inline
function beyond(dtype: i32, at: usize, limit: v128): v128 {
  // bfloat16 by its bits: of greater magnitude than a float32 are those above its upper half
  if (dtype == BF16) return i16x8.gt_s(v128.and(v128.load(at), i16x8.splat(i16.MAX_VALUE)), limit);
  const first = f32x4.abs(fourValues(dtype, at));
  const second = f32x4.abs(fourValues(dtype, at + 4 * bytesOf(dtype)));
  return marksOf(f32x4.gt(first, limit), f32x4.gt(second, limit));
}

/** Zeros among eight values, marked. */
// @ts-ignore: decorator
@inline
function zeros(dtype: i32, at: usize): v128 {
  if (dtype != F32) return i16x8.eq(i16x8.shl(v128.load(at), 1), i16x8.splat(0));
  const zero = f32x4.splat(0);
  return marksOf(f32x4.eq(v128.load(at), zero), f32x4.eq(v128.load(at, 16), zero));
}

/**
 * Counts of a row to the state: values beyond a limit, those that became 0. A loop of their own: beside the sums there are
 * not enough registers for them.
 */
// @ts-ignore: decorator
@inline
function countRow(dtype: i32, from: usize, decoded: usize, cols: usize, limit: f32, state: usize): void {
  const size = bytesOf(dtype);
  const limits = dtype == BF16 ? i16x8.splat(<i16>(reinterpret<u32>(limit) >> 16)) : f32x4.splat(limit);
  let outliers = i32x4.splat(0);
  let zeroed = i32x4.splat(0);
  let source = from;
  let at = decoded;
  let end = source + (cols & ~7) * size;
  let isWhole = (cols & 7) == 0;
  for (;;) {
    while (source < end) {
      const stop = min(end, source + COUNTED * size);
      let far = i16x8.splat(0);
      let lost = i16x8.splat(0);
      for (; source < stop; source += 8 * size) {
        far = i16x8.add(far, beyond(dtype, source, limits));
        lost = i16x8.add(lost, v128.andnot(zeros(F32, at), zeros(dtype, source)));
        at += 32;
      }
      outliers = counted(outliers, far);
      zeroed = counted(zeroed, lost);
    }
    if (isWhole) break;
    isWhole = true;
    source = TAIL;
    at = TAIL_DECODED;
    end = TAIL + 8 * size;
  }
  count(state + 32, total(zeroed));
  count(state + 36, total(outliers));
}

// @ts-ignore: decorator
@inline
function valueAt(dtype: i32, from: usize, i: usize): f32 {
  if (dtype == F32) return load<f32>(from + (i << 2));
  const code = <u32>load<u16>(from + (i << 1));
  return dtype == BF16 ? reinterpret<f32>(code << 16) : f32x4.extract_lane(halfValues(i32x4.splat(code)), 0);
}

/** Sums of a row to LANES in float64, for rows whose squares leave the range of float32. */
// @ts-ignore: decorator
@inline
function sumDoubles(dtype: i32, from: usize, decoded: usize, cols: usize): void {
  clearLanes();
  for (let i: usize = 0; i < cols; i++) {
    const r = valueAt(dtype, from, i);
    const d = <f64>(r - load<f32>(decoded + (i << 2)));
    const lane = LANES + ((i & 3) << 3);
    addTo(lane, <f64>r * <f64>r);
    addTo(lane + 32, d * d);
    addTo(lane + 64, <f64>r * d);
  }
}

// @ts-ignore: decorator
@inline
function countBin(value: f32, inverse: f32, bins: usize): void {
  const place = min<f32>(49, max<f32>(-49, floor<f32>(value * inverse + 0.5)));
  count(bins + ((<usize>(<i32>place + 49)) << 2), 1);
}

/** Adds the errors of rows to a state; those whose number, from `firstRow` on, `stride` divides go into the histogram. */
// @ts-ignore: decorator
@inline
function addRows(
  dtype: i32,
  from: usize,
  decoded: usize,
  rows: usize,
  cols: usize,
  firstRow: usize,
  stride: usize,
  state: usize,
): void {
  for (let row: usize = 0; row < rows; row++) {
    const source = from + row * cols * bytesOf(dtype);
    const at = decoded + ((row * cols) << 2);
    sumRow(dtype, source, at, cols, state);
    const inRange = sumOfLanes(LANES);
    if (!(inRange >= LEAST_SIGNAL && inRange <= MOST_SIGNAL)) sumDoubles(dtype, source, at, cols);
    const signal = sumOfLanes(LANES);
    addTo(state, signal);
    addTo(state + 8, sumOfLanes(LANES + 32));
    addTo(state + 16, sumOfLanes(LANES + 64));
    const rms = <f32>Math.sqrt(signal / <f64>cols);
    countRow(dtype, source, at, cols, 6 * rms, state);
    if ((firstRow + row) % stride != 0 || !(rms > 0)) continue;
    const inverse: f32 = 8 / rms;
    for (let i: usize = 0; i < cols; i++) {
      countBin(valueAt(dtype, source, i), inverse, state + BINS);
      countBin(load<f32>(at + (i << 2)), inverse, state + BINS + BIN_BYTES);
    }
  }
}

// A function each: V8 optimizes a whole function once it is hot, and needs only one of these at a time.

function addBrains(from: usize, decoded: usize, rows: usize, cols: usize, first: usize, stride: usize, state: usize): void {
  addRows(BF16, from, decoded, rows, cols, first, stride, state);
}

function addHalves(from: usize, decoded: usize, rows: usize, cols: usize, first: usize, stride: usize, state: usize): void {
  addRows(F16, from, decoded, rows, cols, first, stride, state);
}

function addFloats(from: usize, decoded: usize, rows: usize, cols: usize, first: usize, stride: usize, state: usize): void {
  addRows(F32, from, decoded, rows, cols, first, stride, state);
}

/** Adds the errors of `rows` rows at `from`, for which the float32 at `decoded` stand, to a state. */
export function addErrors(
  dtype: i32,
  from: usize,
  decoded: usize,
  rows: usize,
  cols: usize,
  firstRow: usize,
  stride: usize,
  state: usize,
): void {
  if (dtype == BF16) addBrains(from, decoded, rows, cols, firstRow, stride, state);
  else if (dtype == F16) addHalves(from, decoded, rows, cols, firstRow, stride, state);
  else addFloats(from, decoded, rows, cols, firstRow, stride, state);
}
