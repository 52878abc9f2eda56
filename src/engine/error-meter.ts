import { DTYPE_BITS, type Dtype } from '../core/dtype.js';
import { histogramStride } from '../core/error-sums.js';
import type { DecodeRows, Kernels } from '../core/kernels.js';
import type { Job } from '../core/plan.js';
import type { Packed, Scheme } from '../core/scheme.js';

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
  const step = rowsAtATime(cols);
  const decoder = kernels.dequantizes(args) ? kernels.openDecoder(args, cols) : undefined;
  const addErrors = kernels.openErrors(dtype, cols, histogramStride(rows, cols), state);
  const addSaturated = kernels.openSaturated(dtype, cols, args, state);
  const rowBytes = (cols * DTYPE_BITS[dtype]) / 8;
  return {
    add(from, count, input, parts) {
      const decode = decoder ?? decodeByScheme(job, scheme, kernels, count, parts);
      for (let first = 0; first < count; first += step) {
        const taken = Math.min(step, count - first);
        decode(parts, first, taken, room);
        addErrors(input + first * rowBytes, taken, room, from + first);
      }
      addSaturated(input, count, parts);
    },
  };
}

function decodeByScheme(
  { source: { cols }, scheme: args }: Job,
  scheme: Scheme,
  kernels: Kernels,
  count: number,
  parts: Record<string, number>,
): DecodeRows {
  const packed: Packed = {};
  for (const [part, { nbytes }] of Object.entries(scheme.layout(count, cols, args))) {
    packed[part] = kernels.bytes(parts[part], nbytes);
  }
  const values = new Float32Array(count * cols);
  scheme.dequantize(packed, count, cols, args, values);
  return (_parts, first, rows, to) => {
    const { buffer, byteOffset } = kernels.bytes(to, 4 * rows * cols);
    new Float32Array(buffer, byteOffset, rows * cols).set(values.subarray(first * cols, (first + rows) * cols));
  };
}
