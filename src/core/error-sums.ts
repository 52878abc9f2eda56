/**
 * What quantizing took from a run of weights, in a form that adds up: r is a weight, a the value that stands for it
 * afterwards, d = r - a in float32.
 */
export interface ErrorSums {
  /** Sums of r^2, d^2 and r * d. */
  signal: number;
  noise: number;
  cross: number;
  /** Greatest |d|. */
  greatest: number;
  /** Weights beyond the end of their grid by more than half of its last step. */
  saturated: number;
  /** Weights that are not 0 and became 0. */
  zeroed: number;
  /** Weights beyond OUTLIER_LIMIT times the root mean square of their row. */
  outliers: number;
  /** Counts over r / rms and a / rms of sampled rows, where rms is that of the row: see HISTOGRAM_BINS. */
  before: Uint32Array;
  after: Uint32Array;
}

/** In root mean squares of the row. */
export const OUTLIER_LIMIT = 6;

/**
 * Bins of an eighth of a row's root mean square: bin 49 is around 0, bins 1 and 97 around -6 and 6, bins 0 and 98 hold
 * all beyond.
 */
export const HISTOGRAM_BINS = 99;

/** About so many weights of a tensor are sampled for its histogram, whole rows evenly apart. */
const SAMPLED_WEIGHTS = 1 << 16;

/** Rows of a matrix whose number is a multiple of this go into its histogram. */
export const histogramStride = (rows: number, cols: number): number => Math.ceil((rows * cols) / SAMPLED_WEIGHTS) || 1;

/**
 * Bytes of sums as kernels keep and journals store them, little endian: float64 signal, noise, cross; float32 greatest;
 * uint32 saturated, zeroed, outliers, 0, 0; uint32 before[99], after[99]; 8 bytes of 0.
 */
export const ERROR_STATE_BYTES = 848;
export const ERROR_STATE = {
  signal: 0,
  noise: 8,
  cross: 16,
  greatest: 24,
  saturated: 28,
  zeroed: 32,
  outliers: 36,
  before: 48,
  after: 48 + 4 * HISTOGRAM_BINS,
} as const;

export function noErrors(): ErrorSums {
  const counts = { saturated: 0, zeroed: 0, outliers: 0 };
  const [before, after] = [new Uint32Array(HISTOGRAM_BINS), new Uint32Array(HISTOGRAM_BINS)];
  return { signal: 0, noise: 0, cross: 0, greatest: 0, ...counts, before, after };
}

/** Reads sums from their bytes. */
export function readErrors(bytes: Uint8Array): ErrorSums {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bins = (at: number) =>
    Uint32Array.from({ length: HISTOGRAM_BINS }, (_, bin) => view.getUint32(at + 4 * bin, true));
  return {
    signal: view.getFloat64(ERROR_STATE.signal, true),
    noise: view.getFloat64(ERROR_STATE.noise, true),
    cross: view.getFloat64(ERROR_STATE.cross, true),
    greatest: view.getFloat32(ERROR_STATE.greatest, true),
    saturated: view.getUint32(ERROR_STATE.saturated, true),
    zeroed: view.getUint32(ERROR_STATE.zeroed, true),
    outliers: view.getUint32(ERROR_STATE.outliers, true),
    before: bins(ERROR_STATE.before),
    after: bins(ERROR_STATE.after),
  };
}

/** Adds `other` to `sums`; the order of additions decides the last bits of the three float sums. */
export function addErrors(sums: ErrorSums, other: ErrorSums): void {
  sums.signal += other.signal;
  sums.noise += other.noise;
  sums.cross += other.cross;
  if (!(other.greatest <= sums.greatest)) sums.greatest = other.greatest;
  sums.saturated += other.saturated;
  sums.zeroed += other.zeroed;
  sums.outliers += other.outliers;
  for (let bin = 0; bin < HISTOGRAM_BINS; bin++) {
    sums.before[bin] += other.before[bin];
    sums.after[bin] += other.after[bin];
  }
}

/** Signal-to-quantization-noise ratio, 10 log10(sum r^2 / sum d^2): Infinity where nothing differs. */
export function sqnrOf({ signal, noise }: ErrorSums): number {
  return noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
}

/** Cosine of the angle between r and a; 1 where both are zero, 0 where one of them is. */
export function cosineOf({ signal, noise, cross }: ErrorSums): number {
  const actual = signal - 2 * cross + noise;
  if (signal === 0 && actual === 0) return 1;
  if (signal === 0 || actual <= 0) return 0;
  return Math.min(1, (signal - cross) / Math.sqrt(signal) / Math.sqrt(actual));
}
