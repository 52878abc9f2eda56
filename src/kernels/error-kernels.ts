import type { Dtype } from '../core/dtype.js';
import { ERROR_STATE } from '../core/error-sums.js';
import { gridEnds } from '../core/grid-ends.js';
import type { AddErrors, AddSaturated } from '../core/kernels.js';
import { own } from '../core/own.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { KERNEL_DTYPES } from './by-scheme.js';
import { flipOf, gridExtent, SCALE_KINDS } from './grids.js';
import type { KernelExports } from './wasm.js';

/** Bits of the zero points of schemes that may have them. */
const ZERO_BITS: Record<string, number> = own({ int4: 4, int8: 8 });

export function openErrors(wasm: KernelExports, dtype: Dtype, cols: number, stride: number, state: number): AddErrors {
  const kind = KERNEL_DTYPES[dtype] as number;
  return (from, rows, decoded, first) => wasm.addErrors(kind, from, decoded, rows, cols, first, stride, state);
}

/** Counts nothing where a scheme's ends are not known. */
export function openSaturated(
  wasm: KernelExports,
  dtype: Dtype,
  cols: number,
  args: QuantizationArgs,
  state: number,
): AddSaturated {
  const ends = gridEnds(args);
  if (!ends) return () => {};
  const bits = ZERO_BITS[args.scheme] ?? 0;
  const { blockRows, blockCols, zeroStride } = gridExtent(args, cols, bits || 8);
  const kind = KERNEL_DTYPES[dtype] as number;
  return (from, rows, { scales, zero_points, global_scale = 0 }) => {
    wasm.scaleSettings(SCALE_KINDS[args.scale_dtype], global_scale);
    wasm.gridSettings(...ends.values, ends.halfStep, bits, flipOf(args, bits));
    const places = [blockRows, blockCols, scales, args.symmetric ? 0 : zero_points, zeroStride] as const;
    const saturated = wasm.countSaturated(kind, from, rows, cols, ...places);
    const counter = new DataView(wasm.memory.buffer, state + ERROR_STATE.saturated, 4);
    counter.setUint32(0, counter.getUint32(0, true) + saturated, true);
  };
}
