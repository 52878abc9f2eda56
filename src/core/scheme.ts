import type { ElementType } from './dtype.js';

export type QuantizationStrategy = 'tensor' | 'channel' | 'group' | 'block';

export type QuantizationAlgorithm = 'rtn' | 'mse' | 'kquant' | 'hqq';

/** A scheme with its settings, in compressed-tensors' vocabulary. `scheme` is the id of a file in `schemes/`. */
export interface QuantizationArgs {
  scheme: string;
  strategy: QuantizationStrategy;
  /** Columns that share a scale, for strategy `group`. */
  group_size?: number;
  /** Rows and columns that share a scale, for strategy `block`. */
  block_structure?: [number, number];
  symmetric: boolean;
  /**
   * Codes stored as two's complement (ONNX INT4, INT8), with zero points likewise, rather than offset by 2^(bits-1)
   * (the unsigned bytes of MatMulNBits). Default: unsigned.
   */
  signed?: boolean;
  /** Type of the stored scales. */
  scale_dtype: 'F32' | 'F16' | 'BF16' | 'F8_E8M0' | 'F8_E4M3';
  algorithm: QuantizationAlgorithm;
  /**
   * Greatest magnitude of the whole tensor, or of all tensors that share its scale, where a scheme has one scale for
   * them and a first pass has found it: rows can then be quantized one by one.
   */
  amax?: number;
}

/** Bytes of one part of some rows, as they are written. */
export interface PartSize {
  nbytes: number;
  /** Set where the part is [segments, rows, ...] instead of [rows, ...]: some rows are a piece of every segment. */
  segments?: number;
  /** Set where the bytes are the same for any rows, as one scale for the tensor: they are written once. */
  fixed?: boolean;
}

/** One output of a scheme. */
export interface PartLayout extends PartSize {
  dtype: ElementType;
  shape: number[];
}

/** Bytes of each part (`codes`, `scales`, `zero_points`, for float schemes only `codes`) of some rows. */
export type Packed = Record<string, Uint8Array>;

/** A number format: sizes from shapes, floats to bytes, bytes to floats. The plain TypeScript twin of its kernel. */
export interface Scheme {
  numBits: number;
  type: 'int' | 'float';
  /** Settings that stand where the command line says nothing; every combination offered must be listed by `check`. */
  defaults: QuantizationArgs;
  /** Throws a UsageError where `args` ask for what the scheme does not have. */
  check(args: QuantizationArgs): void;
  /** Rows that must be quantized together: 1 a row at a time, 128 for blocks of 128 rows, Infinity for a whole tensor. */
  rowQuantum(args: QuantizationArgs): number;
  /** Parts of a matrix [rows, cols]; sizes are exact, so that offsets are final before a weight byte is read. */
  layout(rows: number, cols: number, args: QuantizationArgs): Record<string, PartLayout>;
  /**
   * Quantizes whole rows: `values` is [rows, cols] float32, `out` has for each part of `layout(rows, cols, args)`
   * a view of exactly `nbytes`. Throws NonFiniteWeight at the first NaN or infinity.
   */
  quantize(values: Float32Array, cols: number, args: QuantizationArgs, out: Packed): void;
  /** The exact values that the codes stand for, float32 [rows, cols]. */
  dequantize(packed: Packed, rows: number, cols: number, args: QuantizationArgs, out: Float32Array): void;
}

/** Thrown by schemes and kernels; the engine adds tensor and file and makes it an InvalidInputError. */
export class NonFiniteWeight extends Error {
  constructor(
    readonly row: number,
    readonly column: number,
    readonly value: number,
  ) {
    super(`${value} at row ${row}, column ${column}`);
  }
}
