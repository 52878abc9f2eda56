/**
 * A weight as a matrix of float32 rows, read when asked: what the reference engine needs of a checkpoint or package.
 * Vectors are one row. Anything that reads rows fits, so that tests and other stages can bring their own.
 */
export interface WeightRows {
  readonly rows: number;
  readonly cols: number;
  /** Rows that are decoded together, where some are. */
  readonly quantum?: number;
  /** Fills `out` [count, cols] with rows [from, from + count). */
  readFloat32(from: number, count: number, out: Float32Array): void | Promise<void>;
  close?(): void | Promise<void>;
}

/** Opens the weight of this name; the evaluation closes what it opened. */
export type WeightLookup = (name: string) => WeightRows | Promise<WeightRows>;

/** Float32 values held of a streamed weight at a time: 8 MiB, where a Gemm of 256 tokens has reached its full speed. */
const CHUNK_VALUES = 2 << 20;

/** Rows of a chunk: all that fit, `most` at most; if not the whole weight then a multiple of its quantum where one fits. */
export function chunkRowsOf({ rows, cols, quantum = 1 }: WeightRows, most: number): number {
  const fitting = Math.max(1, Math.min(Math.floor(CHUNK_VALUES / cols), most));
  if (fitting >= rows) return rows;
  return fitting < quantum ? fitting : fitting - (fitting % quantum);
}

/** Rows [from, from + count) of a weight as a weight of its own. Closing it leaves the whole weight open. */
export function rowRange(whole: WeightRows, from: number, count: number): WeightRows {
  return {
    rows: count,
    cols: whole.cols,
    readFloat32: (first, rows, out) => whole.readFloat32(from + first, rows, out),
  };
}

/** The whole of a small weight, row-major. */
export async function readWhole(weight: WeightRows): Promise<Float32Array> {
  const values = new Float32Array(weight.rows * weight.cols);
  await weight.readFloat32(0, weight.rows, values);
  return values;
}

/** Visits a weight in chunks of whole rows; `chunk` [count, cols] is overwritten by the next one. */
export async function forEachRowChunk(
  weight: WeightRows,
  chunkRows: number,
  visit: (chunk: Float32Array, from: number, count: number) => Promise<void>,
): Promise<void> {
  const buffer = new Float32Array(Math.min(chunkRows, weight.rows) * weight.cols);
  for (let from = 0; from < weight.rows; from += chunkRows) {
    const count = Math.min(chunkRows, weight.rows - from);
    const chunk = buffer.subarray(0, count * weight.cols);
    await weight.readFloat32(from, count, chunk);
    await visit(chunk, from, count);
  }
}
