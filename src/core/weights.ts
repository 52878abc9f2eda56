import type { FileRange, TensorRef } from './checkpoint.js';
import type { JsonObject } from './json.js';
import type { QuantizationArgs } from './scheme.js';

/**
 * How a weight comes out of the checkpoint: a logical tensor's name, or a form that streams by rows.
 * Every source is a matrix [rows, cols] (a tensor [a, b, c] counts as [a*b, c], a vector [n] as [1, n]).
 */
export type WeightSource =
  | string
  | { rows: WeightSource; from: number; to: number; stride?: number; count?: number }
  | { concat: WeightSource[] }
  | { interleaveRows: WeightSource[] }
  | { permuteRows: WeightSource; order: number[] }
  | { transpose: WeightSource }
  | { plus: WeightSource; constant: number }
  | { tied: string }
  | { rotary: RotaryTable };
// `rows` takes rows [from, to); with stride and count it takes `count` such blocks, each `stride` rows after the last.

/**
 * A table of cosines or sines, one row a position: row p is f(p * inverse_frequencies) * attention_factor,
 * computed in float32 as transformers does (modeling_rope_utils.py).
 */
export interface RotaryTable {
  inverse_frequencies: number[];
  attention_factor: number;
  positions: number;
  part: 'cos' | 'sin';
}

/**
 * A WeightSource with every name resolved to bytes and every size known: what a job carries to a worker.
 * `tensor` is a stored float tensor; `packed` is one that a layout decodes from several stored tensors;
 * `scheme` is one that a scheme decodes from parts of a package.
 */
export type RowSource = { rows: number; cols: number } & (
  | { kind: 'tensor'; ref: TensorRef }
  | { kind: 'packed'; layout: string; parts: Record<string, TensorRef>; parameters: JsonObject; name: string }
  | { kind: 'scheme'; scheme: QuantizationArgs; parts: Record<string, FileRange>; name: string }
  | { kind: 'rowBlocks'; source: RowSource; from: number; blockRows: number; stride: number }
  | { kind: 'concat'; sources: RowSource[] }
  | { kind: 'interleave'; sources: RowSource[] }
  | { kind: 'permute'; source: RowSource; order: number[] }
  | { kind: 'transpose'; source: RowSource }
  | { kind: 'plus'; source: RowSource; constant: number }
  | { kind: 'rotary'; table: RotaryTable }
);

/** A logical float tensor of a checkpoint: stored as it is, or dressed by a layout. */
export type LogicalTensor = { name: string; shape: number[]; source: RowSource };

export type PackedSource = Extract<RowSource, { kind: 'packed' }>;
