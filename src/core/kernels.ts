import type { Dtype } from './dtype.js';
import type { QuantizationArgs } from './scheme.js';
import type { RotaryTable } from './weights.js';

/**
 * Decodes `rows` rows from row `first` on of parts at these addresses, which hold whole rows of blocks, into float32
 * [rows, cols] at `to`, a multiple of 4.
 */
export type DecodeRows = (parts: Record<string, number>, first: number, rows: number, to: number) => void;

/**
 * Adds to error sums what the float32 at `decoded` are off the `rows` rows at `from` for which they stand; `first` is the
 * number of the first of them in its tensor.
 */
export type AddErrors = (from: number, rows: number, decoded: number, first: number) => void;

/** Counts weights of the `rows` rows at `from` beyond the ends of the grids that these parts' first rows are codes of. */
export type AddSaturated = (from: number, rows: number, parts: Record<string, number>) => void;

/**
 * The wasm kernels over one linear memory: a worker reads into it, computes in it and writes from it. Addresses are
 * byte offsets into the memory, multiples of 16. Every kernel equals its plain TypeScript twin bit for bit.
 */
export interface Kernels {
  /** First byte that belongs to the caller. */
  readonly heapBase: number;
  /** Makes sure that `nbytes` from heapBase on exist. Views taken before are stale after it. */
  reserve(nbytes: number): void;
  /** A view of `nbytes` of the memory at `address`. */
  bytes(address: number, nbytes: number): Uint8Array;
  /** Converts `count` stored floats (BF16, F16, F32, F64, F8_E4M3, F8_E5M2, ...) at `from` to float32 at `to`. */
  widen(dtype: Dtype, from: number, count: number, to: number): void;
  /** Whether `quantize` has a kernel for this stored dtype and these settings; otherwise widen and use the twin. */
  supports(dtype: Dtype, args: QuantizationArgs): boolean;
  /** Quantizes whole rows at `from` into the parts at the addresses `out`. Throws NonFiniteWeight. */
  quantize(
    dtype: Dtype,
    from: number,
    rows: number,
    cols: number,
    args: QuantizationArgs,
    out: Record<string, number>,
  ): void;
  /** Whether `openDecoder` has a kernel for these settings; otherwise use the twin. */
  dequantizes(args: QuantizationArgs): boolean;
  openDecoder(args: QuantizationArgs, cols: number): DecodeRows;
  /**
   * Sums at the address `state` (core/error-sums.ts) of rows of `cols` columns stored as F32, F16 or BF16; those whose
   * number `stride` divides go into the histogram.
   */
  openErrors(dtype: Dtype, cols: number, stride: number, state: number): AddErrors;
  openSaturated(dtype: Dtype, cols: number, args: QuantizationArgs, state: number): AddSaturated;
  /**
   * For each `group` columns of each row, three float32 at `to`: the least and the greatest of 0 and the float32 at
   * `reference`, and the greatest magnitude of what those at `actual` are off them, NaN where one is.
   */
  groupRanges(reference: number, actual: number, rows: number, cols: number, group: number, to: number): void;
  /**
   * Rows [from, from + rows) of a rotary table into float32 at `out`; `count` float32 frequencies lie at `frequencies`.
   * For angles below 2^20.
   */
  rotary(
    frequencies: number,
    count: number,
    from: number,
    rows: number,
    factor: number,
    part: RotaryTable['part'],
    out: number,
  ): void;
  /** XXH64 with seed 0 of bytes in this memory, given in pieces; `state` is the address of 80 bytes. */
  startDigest(state: number): void;
  updateDigest(state: number, from: number, nbytes: number): void;
  finishDigest(state: number): bigint;
}
