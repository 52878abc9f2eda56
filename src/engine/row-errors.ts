import { ERROR_STATE, HISTOGRAM_BINS, OUTLIER_LIMIT } from '../core/error-sums.js';

const f32 = Math.fround;
const MIDDLE_BIN = (HISTOGRAM_BINS - 1) / 2;
const BINS_PER_RMS = 8;
/** Columns whose products are added up in float32 before they go on in float64. */
const FOLD = 64;
/** Outside of this range of a row's sum of squares all of it is done in float64. */
const [LEAST_SIGNAL, MOST_SIGNAL] = [2 ** -60, 2 ** 100];

/** The ends of each value's grid, float32 [rows, cols], and half of the last step over the range between them. */
export interface EndsOfRows {
  low: Float32Array;
  high: Float32Array;
  halfStep: number;
}

/**
 * Adds the errors of whole rows to a state: `values` are the weights, `decoded` what stands for them, both float32
 * [rows, cols]; `ends` is undefined where a scheme cannot saturate. Rows count from `firstRow`; those that are multiples
 * of `stride` go into the histogram. Plain TypeScript twin of kernels/assembly/errors.ts, equal bit for bit.
 *
 * Sums of a row are kept in four lanes (columns 8k + 2l and 8k + 2l + 1 go to lane l, in this order), 64 columns in
 * float32, these in float64; lanes are then added as (0 + 1) + (2 + 3), and rows to the state in their order. How rows
 * are cut into calls changes nothing.
 */
export function addRowErrors(
  state: Uint8Array,
  values: Float32Array,
  decoded: Float32Array,
  ends: EndsOfRows | undefined,
  cols: number,
  firstRow: number,
  stride: number,
): void {
  const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
  const addFloat = (at: number, value: number) => view.setFloat64(at, view.getFloat64(at, true) + value, true);
  const addCount = (at: number, count: number) => view.setUint32(at, view.getUint32(at, true) + count, true);
  for (let row = 0; row * cols < values.length; row++) {
    const r = values.subarray(row * cols, (row + 1) * cols);
    const a = decoded.subarray(row * cols, (row + 1) * cols);
    const [signal, noise, cross] = sumsOfRow(r, a);
    addFloat(ERROR_STATE.signal, signal);
    addFloat(ERROR_STATE.noise, noise);
    addFloat(ERROR_STATE.cross, cross);
    const rms = f32(Math.sqrt(signal / cols));
    const limit = f32(OUTLIER_LIMIT * rms);
    let greatest = view.getFloat32(ERROR_STATE.greatest, true);
    let zeroed = 0;
    let outliers = 0;
    for (let i = 0; i < cols; i++) {
      const error = Math.abs(f32(r[i] - a[i]));
      if (greatest < error) greatest = error;
      if (a[i] === 0 && r[i] !== 0) zeroed++;
      if (r[i] > limit || r[i] < -limit) outliers++;
    }
    view.setFloat32(ERROR_STATE.greatest, greatest, true);
    addCount(ERROR_STATE.zeroed, zeroed);
    addCount(ERROR_STATE.outliers, outliers);
    if (ends) addCount(ERROR_STATE.saturated, saturatedOf(r, ends, row * cols));
    if ((firstRow + row) % stride !== 0 || !(rms > 0)) continue;
    const inverse = f32(BINS_PER_RMS / rms);
    for (let i = 0; i < cols; i++) {
      addCount(ERROR_STATE.before + 4 * binOf(r[i], inverse), 1);
      addCount(ERROR_STATE.after + 4 * binOf(a[i], inverse), 1);
    }
  }
}

/** Sums of r^2, d^2 and r * d. */
function sumsOfRow(r: Float32Array, a: Float32Array): [number, number, number] {
  const sums = sumsByLanes(r, a, f32);
  return sums[0] >= LEAST_SIGNAL && sums[0] <= MOST_SIGNAL ? sums : sumsByLanes(r, a, (x) => x);
}

/** `round` is what becomes of every product and sum within 64 columns. */
function sumsByLanes(r: Float32Array, a: Float32Array, round: (x: number) => number): [number, number, number] {
  const [total, part] = [new Float64Array(12), new Float64Array(12)];
  for (let start = 0; start < r.length; start += FOLD) {
    const end = Math.min(start + FOLD, r.length);
    if (round === f32) part.fill(0);
    else part.set(total);
    for (let i = start; i < end; i++) {
      const lane = (i & 7) >> 1;
      const d = f32(r[i] - a[i]);
      part[lane] = round(part[lane] + round(r[i] * r[i]));
      part[4 + lane] = round(part[4 + lane] + round(d * d));
      part[8 + lane] = round(part[8 + lane] + round(r[i] * d));
    }
    for (let i = 0; i < 12; i++) total[i] = round === f32 ? total[i] + part[i] : part[i];
  }
  const add = (at: number) => total[at] + total[at + 1] + (total[at + 2] + total[at + 3]);
  return [add(0), add(4), add(8)];
}

function saturatedOf(r: Float32Array, { low, high, halfStep }: EndsOfRows, first: number): number {
  const share = f32(halfStep);
  let count = 0;
  for (let i = 0; i < r.length; i++) {
    const [from, to] =
      low[first + i] < high[first + i] ? [low[first + i], high[first + i]] : [high[first + i], low[first + i]];
    const half = f32(f32(to - from) * share);
    if (r[i] < f32(from - half) || r[i] > f32(to + half)) count++;
  }
  return count;
}

function binOf(value: number, inverse: number): number {
  const place = Math.floor(f32(f32(value * inverse) + 0.5));
  // 0 times the infinite inverse of the smallest root mean squares
  if (Number.isNaN(place)) return MIDDLE_BIN;
  return Math.min(MIDDLE_BIN, Math.max(-MIDDLE_BIN, place)) + MIDDLE_BIN;
}
