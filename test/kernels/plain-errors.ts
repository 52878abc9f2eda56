import { ERROR_STATE, HISTOGRAM_BINS, OUTLIER_LIMIT } from '../../src/core/error-sums.js';
import type { Packed, QuantizationArgs, Scheme } from '../../src/core/scheme.js';

const f32 = Math.fround;
const MIDDLE_BIN = (HISTOGRAM_BINS - 1) / 2;
const BINS_PER_RMS = 8;
/** Columns whose products are added up in float32 before they go on in float64. */
const FOLD = 128;
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
 * of `stride` go into the histogram. Plain TypeScript twin of kernels/assembly/errors.ts and saturation.ts, equal bit for
 * bit.
 *
 * Products of 128 columns of a row are added up in float32, column i in lane i mod 8, and lanes 4 to 7 to lanes 0 to 3;
 * these four go on in float64 and are then added as (0 + 1) + (2 + 3), and rows to the state in their order. How rows are
 * cut into calls changes nothing.
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
      if (error > greatest || Number.isNaN(error)) greatest = error;
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
function sumsOfRow(r: Float32Array, a: Float32Array): number[] {
  const sums = sumsByLanes(r, a);
  return sums[0] >= LEAST_SIGNAL && sums[0] <= MOST_SIGNAL ? sums : sumsOfDoubles(r, a);
}

const productsOf = (r: number, d: number): number[] => [r * r, d * d, r * d];
const sumOfLanes = (total: Float64Array): number => total[0] + total[1] + (total[2] + total[3]);

function sumsByLanes(r: Float32Array, a: Float32Array): number[] {
  const totals = [0, 1, 2].map(() => new Float64Array(4));
  for (let start = 0; start < r.length; start += FOLD) {
    const parts = [0, 1, 2].map(() => new Float32Array(8));
    for (let i = start; i < Math.min(start + FOLD, r.length); i++) {
      for (const [sum, product] of productsOf(r[i], f32(r[i] - a[i])).entries()) parts[sum][i & 7] += f32(product);
    }
    for (const [sum, part] of parts.entries()) {
      for (let lane = 0; lane < 4; lane++) totals[sum][lane] += f32(part[lane] + part[lane + 4]);
    }
  }
  return totals.map(sumOfLanes);
}

function sumsOfDoubles(r: Float32Array, a: Float32Array): number[] {
  const totals = [0, 1, 2].map(() => new Float64Array(4));
  for (let i = 0; i < r.length; i++) {
    for (const [sum, product] of productsOf(r[i], f32(r[i] - a[i])).entries()) totals[sum][i & 3] += product;
  }
  return totals.map(sumOfLanes);
}

/** Bytes of codes that stand for the two ends of a grid, and half of its last step over the range between them. */
function endCodes({ scheme, signed }: QuantizationArgs): { codes: [number, number]; halfStep: number } | undefined {
  if (scheme === 'int4') return { codes: signed ? [0x88, 0x77] : [0, 0xff], halfStep: 0.5 / 15 };
  if (scheme === 'int8') return { codes: signed ? [0x80, 0x7f] : [0, 0xff], halfStep: 0.5 / 255 };
  if (scheme === 'fp8_e4m3') return { codes: [0xfe, 0x7e], halfStep: 16 / 896 };
  if (scheme === 'fp8_e5m2') return { codes: [0xfb, 0x7b], halfStep: 4096 / 114688 };
  return scheme === 'mxfp4' || scheme === 'nvfp4' ? { codes: [0xff, 0x77], halfStep: 1 / 12 } : undefined;
}

/** Decodes the first and the last code of every value's grid, with the scales and zero points that it has. */
export function endsOf(
  scheme: Scheme,
  packed: Packed,
  rows: number,
  cols: number,
  args: QuantizationArgs,
): EndsOfRows | undefined {
  const ends = endCodes(args);
  if (!ends) return undefined;
  const [low, high] = ends.codes.map((code) => {
    const out = new Float32Array(rows * cols);
    const codes = new Uint8Array(packed.codes.length).fill(code);
    scheme.dequantize({ ...packed, codes }, rows, cols, args, out);
    return out;
  });
  return { low, high, halfStep: ends.halfStep };
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
