import type { Kernels, QuantizationArgs } from '../core/types.js';
import type { KernelExports } from './wasm.js';

/** Schemes whose parts have a kernel that decodes them, by their numbers in assembly/dequantize.ts. */
const FORMATS: Record<string, number> = { fp8_e4m3: 0, fp8_e5m2: 1 };

/** Whether the parts of a scheme have a kernel that decodes them. */
export const dequantizes: Kernels['dequantizes'] = ({ scheme, strategy, scale_dtype }) =>
  Object.hasOwn(FORMATS, scheme) && scale_dtype === 'F32' && strategy !== 'group';

/** Decodes whole rows; only where `dequantizes`. */
export function dequantize(wasm: KernelExports, ...call: Parameters<Kernels['dequantize']>): void {
  const [parts, rows, cols, args, to] = call;
  const [blockRows, blockCols] = blockOf(args, rows, cols);
  wasm.scaledFloats(FORMATS[args.scheme], parts.codes, parts.scales, rows, cols, blockRows, blockCols, to);
}

function blockOf({ strategy, block_structure }: QuantizationArgs, rows: number, cols: number): [number, number] {
  if (strategy === 'block') return block_structure as [number, number];
  return strategy === 'channel' ? [1, cols] : [rows, cols];
}
