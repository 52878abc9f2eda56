import { percentile } from './summary.js';

export interface Interval {
  low: number;
  high: number;
}

export interface BootstrapOptions {
  /** Share of resampled summaries inside the interval. */
  confidence?: number;
  resamples?: number;
  seed?: number;
  /**
   * Neighbouring values drawn together. Positions of a text depend on each other; 1 takes them for independent and
   * makes intervals somewhat too narrow.
   */
  block?: number;
}

/**
 * Percentile bootstrap of a summary over positions (Efron 1979; blocks as in Künsch 1989): the same values and seed
 * give the same interval. NaN of no values.
 */
export function bootstrapInterval(
  values: Float64Array,
  summary: (values: Float64Array) => number,
  { confidence = 0.95, resamples = 1000, seed = 1, block = 1 }: BootstrapOptions = {},
): Interval {
  if (values.length === 0) return { low: Number.NaN, high: Number.NaN };
  const random = seededRandom(seed);
  const length = Math.min(Math.max(1, block), values.length);
  const drawn = new Float64Array(values.length);
  const summaries = Float64Array.from({ length: resamples }, () => {
    for (let at = 0; at < drawn.length; at += length) {
      const from = Math.floor(random() * (values.length - length + 1));
      drawn.set(values.subarray(from, from + Math.min(length, drawn.length - at)), at);
    }
    return summary(drawn);
  });
  const tail = (1 - confidence) / 2;
  return { low: percentile(summaries, tail), high: percentile(summaries, 1 - tail) };
}

/** Uniform numbers in [0, 1) from a 32-bit seed: mulberry32, the same on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
