import type { FileRange, TensorRef } from './checkpoint.js';
import type { Dressing } from './dressing.js';
import type { JsonObject } from './json.js';
import type { Packed, QuantizationArgs } from './scheme.js';
import type { LogicalTensor, PackedSource } from './weights.js';

/**
 * How a checkpoint dresses quantized tensors (names, packing, quantization_config): the reading side.
 * `plain` is the layout of a checkpoint without a quantization_config.
 */
export interface Layout {
  /** Whether a checkpoint with this config.json wears this layout. */
  matches(config: JsonObject): boolean;
  /** The logical float tensors behind the stored ones, by the names that architectures use. Throws InvalidInputError. */
  undress(
    tensors: ReadonlyMap<string, TensorRef>,
    config: JsonObject,
    values: StoredValues,
  ): Map<string, LogicalTensor>;
  /** Rows that decode together: row ranges asked of `needs` start and end on multiples of it (or at the last row). */
  rowQuantum(source: PackedSource): number;
  /** The byte ranges of each part, in the order in which `decode` gets them concatenated, for rows [from, from + count). */
  needs(source: PackedSource, from: number, count: number): Record<string, FileRange[]>;
  /** Exact float32 values [count, cols] of these rows. */
  decode(source: PackedSource, from: number, count: number, bytes: Packed, out: Float32Array): void;
  /**
   * The scheme on whose grid a tensor's codes stand, scales in the type in which they are stored; undefined where no
   * scheme has that grid, so that another one must round again.
   */
  grid?(source: PackedSource): QuantizationArgs | undefined;
  /** How config.json has activations quantized where an engine multiplies, as `float8 dynamic`; none where it does not. */
  activations?(config: JsonObject): string[];
  /** The scheme as whose parts `unpack` gives the rows where they are only read; default: that of `grid`. */
  readAs?(source: PackedSource): QuantizationArgs | undefined;
  /**
   * The parts of `args` for these rows, every code and scale kept. `args` is the tensor's grid but for the type of
   * scales, which holds them exactly, and for zero points, which may be asked for where the grid is symmetric.
   */
  unpack?(source: PackedSource, from: number, count: number, bytes: Packed, args: QuantizationArgs, out: Packed): void;
  /** The writing side, of layouts that have one. */
  dressing?: Dressing;
}

/** What headers do not tell a layout. */
export interface StoredValues {
  /** The bytes of a small tensor that decides what others mean, as group indices and zero points. */
  read(ref: TensorRef): Uint8Array;
  /** Says what values show that config.json does not say, as zero points that are not what it calls them. */
  note(text: string): void;
}
