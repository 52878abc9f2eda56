import { DTYPE_BITS } from '../core/dtype.js';
import { histogramStride } from '../core/error-sums.js';
import type { Dtype, Job, Kernels, Packed, Scheme } from '../core/types.js';

/** Measures what quantizing took from the rows of one job, while they and their parts lie in kernel memory. */
export interface ErrorMeter {
  /** Adds the errors of rows [from, from + count): `input` is where they lie as `dtype`, `parts` where the scheme's parts do. */
  add(from: number, count: number, input: number, parts: Record<string, number>): void;
}

/** Float32 bytes that are decoded at a time, unless one row is longer: they stay in a core's cache until they are measured. */
const DECODED_BYTES = 64 << 10;

const rowsAtATime = (cols: number): number => Math.max(1, Math.floor(DECODED_BYTES / (4 * Math.max(1, cols))));

/** Bytes of kernel memory that a meter of rows of `cols` columns decodes in. */
export const meterRoom = (cols: number): number => 4 * cols * rowsAtATime(cols);

/** Bytes besides that, for `count` rows of a scheme without a kernel that decodes it. */
export const meterScratch = (kernels: Pick<Kernels, 'dequantizes'>, { source, scheme }: Job, count: number): number =>
  kernels.dequantizes(scheme) ? 0 : 4 * count * source.cols;

/**
 * Opens the meter of a job whose rows lie in memory as `dtype`; it adds to the state at the address `state` and decodes
 * in `meterRoom` bytes at `room`.
 */
export function openMeter(
  job: Job,
  scheme: Scheme,
  dtype: Dtype,
  kernels: Kernels,
  { state, room }: { state: number; room: number },
): ErrorMeter {
  const { source, scheme: args } = job;
  const { rows, cols } = source;
  const stride = histogramStride(rows, cols);
  const step = rowsAtATime(cols);
  return {
    add(from, count, input, parts) {
      const decode = kernels.dequantizes(args)
        ? (first: number, taken: number) => kernels.dequantize({ parts, cols, args, first, rows: taken, to: room })
        : decodeByScheme(job, scheme, kernels, count, parts, room);
      for (let first = 0; first < count; first += step) {
        const taken = Math.min(step, count - first);
        decode(first, taken);
        const start = input + (first * cols * DTYPE_BITS[dtype]) / 8;
        kernels.addErrors({ dtype, from: start, rows: taken, cols, state }, room, from + first, stride);
      }
      kernels.addSaturated({ dtype, from: input, rows: count, cols, state }, args, parts);
    },
  };
}

function decodeByScheme(
  { source: { cols }, scheme: args }: Job,
  scheme: Scheme,
  kernels: Kernels,
  count: number,
  parts: Record<string, number>,
  room: number,
): (first: number, rows: number) => void {
  const packed: Packed = {};
  for (const [part, { nbytes }] of Object.entries(scheme.layout(count, cols, args))) {
    packed[part] = kernels.bytes(parts[part], nbytes);
  }
  const values = new Float32Array(count * cols);
  scheme.dequantize(packed, count, cols, args, values);
  return (first, rows) => {
    const { buffer, byteOffset } = kernels.bytes(room, 4 * rows * cols);
    new Float32Array(buffer, byteOffset, rows * cols).set(values.subarray(first * cols, (first + rows) * cols));
  };
}
