import type { ErrorFigures } from './error-figures.js';
import type { PlannedTensor } from './plan.js';

/** A tensor of the written checkpoint with what rounding took from it. */
export interface TensorReport extends ErrorFigures {
  name: string;
  /** Index of its layer; null outside of the layers. */
  layer: number | null;
  /** Its name without the indices of layer and expert, as `mlp.experts.*.down_proj`. */
  module: string;
  shape: number[];
  /** In words, as `int4 group 32`. */
  scheme: string;
  fate: PlannedTensor['fate'];
  weights: number;
  bitsPerWeight: number;
}

/** Tensors of one scheme, or all that were rounded, taken together. */
export interface TotalReport extends ErrorFigures {
  scheme: string;
  tensors: number;
  weights: number;
  bitsPerWeight: number;
}

/** Weights of a tensor over the root mean square of their row, before and after, on rows evenly apart. */
export interface WeightHistogram {
  tensor: string;
  /** Every so many rows one was counted. */
  stride: number;
  /** Counts of bins of 1/8: the first holds all below -6 1/16, the last all from 6 1/16 on. */
  before: number[];
  after: number[];
}

/** A demand of `--gate` and what does not hold it. */
export interface GateReport {
  text: string;
  verdict: 'pass' | 'fail';
  /** Worst first; `value` is null where there is no number. */
  failed: { name: string; value: number | null }[];
}

/** What rounding took from a checkpoint: the file of `--report` and a part of `quantize --json` (docs/quantize-report.md). */
export interface QuantizeReport {
  formatVersion: 1;
  tool: { name: 'halfbyte'; version: string };
  /** The name of the model's directory is no part of it: config.json's architecture and model type are. */
  model: string;
  layout: string;
  verdict: 'pass' | 'fail';
  parameters: number;
  weightBytes: number;
  sourceBytes: number;
  bitsPerWeight: number;
  /** All tensors that were rounded. */
  total: TotalReport;
  schemes: TotalReport[];
  /** In the order of the checkpoint. */
  tensors: TensorReport[];
  gates: GateReport[];
  /** Of the tensors with the least SQNR. */
  histograms: WeightHistogram[];
  /** Command line that makes this again. */
  reproduce: string;
}
