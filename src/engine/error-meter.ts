import { widen } from '../core/dtype.js';
import { ERROR_STATE_BYTES, histogramStride } from '../core/error-sums.js';
import { gridEnds } from '../core/grid-ends.js';
import type { Dtype, Job, Kernels, Packed, Scheme } from '../core/types.js';
import { addRowErrors, type EndsOfRows } from './row-errors.js';

/** Measures what quantizing took from the rows of one job, while they and their parts lie in kernel memory. */
export interface ErrorMeter {
  /** Adds the errors of rows [from, from + count): `input` is where they lie as `dtype`, `parts` where the scheme's parts do. */
  add(from: number, count: number, input: number, parts: Record<string, number>): void;
}

/** Opens the meter of a job whose rows lie in memory as `dtype`; it adds to the state at the address `state`. */
export function openMeter(job: Job, scheme: Scheme, dtype: Dtype, kernels: Kernels, state: number): ErrorMeter {
  const { source, scheme: args } = job;
  const { rows, cols } = source;
  const stride = histogramStride(rows, cols);
  if (kernels.measures({ dtype, cols, args })) {
    return {
      add: (from, count, input, parts) =>
        kernels.measure({ dtype, from: input, rows: count, cols, args, parts, firstRow: from, stride, state }),
    };
  }
  return {
    add(from, count, input, parts) {
      const values = floatsAt(kernels, dtype, input, count * cols);
      const packed = packedAt(kernels, scheme.layout(count, cols, args), parts);
      const decoded = new Float32Array(count * cols);
      scheme.dequantize(packed, count, cols, args, decoded);
      const ends = endsOf(scheme, packed, count, job);
      addRowErrors(kernels.bytes(state, ERROR_STATE_BYTES), values, decoded, ends, cols, from, stride);
    },
  };
}

/** Bytes that a meter without a kernel holds besides the buffers, for `count` rows. */
export const meterScratch = (count: number, cols: number): number => 16 * count * cols;

function floatsAt(kernels: Kernels, dtype: Dtype, address: number, count: number): Float32Array {
  if (dtype === 'F32') {
    const { buffer, byteOffset } = kernels.bytes(address, 4 * count);
    return new Float32Array(buffer, byteOffset, count);
  }
  const values = new Float32Array(count);
  widen(dtype, kernels.bytes(address, count * 2), values);
  return values;
}

const packedAt = (kernels: Kernels, sizes: Record<string, { nbytes: number }>, parts: Record<string, number>): Packed =>
  Object.fromEntries(Object.entries(sizes).map(([part, { nbytes }]) => [part, kernels.bytes(parts[part], nbytes)]));

/** Decodes the first and the last code of every value's grid, with the scales and zero points that it has. */
export function endsOf(
  scheme: Scheme,
  packed: Packed,
  rows: number,
  { source, scheme: args }: Job,
): EndsOfRows | undefined {
  const ends = gridEnds(args);
  if (!ends) return undefined;
  const [low, high] = ends.codes.map((code) => {
    const out = new Float32Array(rows * source.cols);
    const codes = new Uint8Array(packed.codes.length).fill(code);
    scheme.dequantize({ ...packed, codes }, rows, source.cols, args, out);
    return out;
  });
  return { low, high, halfStep: ends.halfStep };
}
