import { ERROR_STATE } from '../core/error-sums.js';
import { gridEnds } from '../core/grid-ends.js';
import type { Kernels, MeasuredRows, QuantizationArgs } from '../core/types.js';
import { KERNEL_DTYPES } from './by-scheme.js';
import { flipOf, gridExtent, SCALE_KINDS } from './grids.js';
import type { KernelExports } from './wasm.js';

/** Bits of the zero points of schemes that may have them. */
const ZERO_BITS: Record<string, number> = { int4: 4, int8: 8 };

export function addErrors(wasm: KernelExports, ...call: Parameters<Kernels['addErrors']>): void {
  const [{ dtype, from, rows, cols, state }, decoded, firstRow, stride] = call;
  wasm.addErrors(KERNEL_DTYPES[dtype] as number, from, decoded, rows, cols, firstRow, stride, state);
}

/** Counts nothing where a scheme's ends are not known. */
export function addSaturated(
  wasm: KernelExports,
  { dtype, from, rows, cols, state }: MeasuredRows,
  args: QuantizationArgs,
  parts: Record<string, number>,
): void {
  const ends = gridEnds(args);
  if (!ends) return;
  const bits = ZERO_BITS[args.scheme] ?? 0;
  const { blockRows, blockCols, zeroStride } = gridExtent(args, cols, bits || 8);
  const zeroPoints = args.symmetric ? 0 : parts.zero_points;
  wasm.scaleSettings(SCALE_KINDS[args.scale_dtype], parts.global_scale ?? 0);
  wasm.gridSettings(...ends.values, ends.halfStep, bits, flipOf(args, bits));
  const places = [blockRows, blockCols, parts.scales, zeroPoints, zeroStride] as const;
  const saturated = wasm.countSaturated(KERNEL_DTYPES[dtype] as number, from, rows, cols, ...places);
  const counter = new DataView(wasm.memory.buffer, state + ERROR_STATE.saturated, 4);
  counter.setUint32(0, counter.getUint32(0, true) + saturated, true);
}
