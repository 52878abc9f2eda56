import type { ValueRange } from './graph.js';

/** What calibration learnt from running a model on text. Plain data, kept in a file of its own. */
export interface Calibration {
  origin: CalibrationOrigin;
  /** By name of the drawn graph's value, by `<attention>/scores` and `<linear>/product` for values that only lowered graphs have, or by weight name. */
  ranges: Record<string, ValueRange & { percentiles: number[] }>;
  /** Mean of the squares of each input channel of a matrix, by weight name. */
  second_moments: Record<string, Float32Array>;
}

/** The text behind a calibration: nothing of it depends on a path. */
export interface CalibrationOrigin {
  text: 'given text' | 'given ids' | 'bundled text' | 'pseudo-random ids';
  tokens: number;
  /** SHA-256 of the token ids as int32, sequence after sequence. */
  ids_sha256: string;
}
