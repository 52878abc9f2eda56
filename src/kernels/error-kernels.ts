import { gridEnds } from '../core/grid-ends.js';
import type { ErrorCall, QuantizationArgs } from '../core/types.js';
import { KERNEL_DTYPES } from './by-scheme.js';
import type { KernelExports } from './wasm.js';

/** Formats whose errors have a kernel, by their numbers in assembly/errors.ts. */
const FORMATS: Record<string, number> = { int4: 0, int8: 1, fp8_e4m3: 2, fp8_e5m2: 3, f16: 4, bf16: 5 };
const BITS: Record<string, number> = { int4: 4, int8: 8, fp8_e4m3: 8, fp8_e5m2: 8, f16: 16, bf16: 16 };
const SCALES: Partial<Record<QuantizationArgs['scale_dtype'], number>> = { F32: 0, F16: 1, BF16: 2, F8_E8M0: 3 };
const HALF_SCALES_OF_INTEGERS = ['F32', 'F16', 'BF16'];

/** Whether the errors of rows of `cols` columns have a kernel. */
export function measuresErrors({ dtype, cols, args }: Pick<ErrorCall, 'dtype' | 'cols' | 'args'>): boolean {
  if (!Object.hasOwn(KERNEL_DTYPES, dtype) || !Object.hasOwn(FORMATS, args.scheme)) return false;
  if (args.scheme === 'f16' || args.scheme === 'bf16') return true;
  if (SCALES[args.scale_dtype] === undefined) return false;
  const isInteger = args.scheme === 'int4' || args.scheme === 'int8';
  if (isInteger && !HALF_SCALES_OF_INTEGERS.includes(args.scale_dtype)) return false;
  // an odd row of codes packed flat ends within a byte
  if (args.strategy === 'channel') return args.scheme !== 'int4' || cols % 2 === 0;
  if (args.strategy === 'group') return isInteger && (args.group_size as number) % 8 === 0;
  if (args.strategy === 'tensor') return !isInteger;
  const width = args.block_structure?.[1] ?? 0;
  return !isInteger && width > 0 && (width % 8 === 0 || width >= cols);
}

/** Adds errors of rows to a state; only where `measuresErrors`. */
export function measureErrors(wasm: KernelExports, call: ErrorCall): void {
  const { dtype, from, rows, cols, args, parts, firstRow, stride, state } = call;
  const bits = BITS[args.scheme];
  const [groupRows, groupCols] = extentOf(args, cols);
  const blocks = Math.ceil(cols / groupCols);
  const rowCodes = args.strategy === 'group' ? blocks * groupCols : cols;
  // zero points of a row of groups start on a whole byte, those of channels follow each other
  const zeroStride = args.strategy === 'group' ? (Math.ceil((blocks * bits) / 8) * 8) / bits : 1;
  const flip = args.signed && bits < 16 ? (bits === 4 ? 0x88 : 0x80) : 0;
  wasm.errorSettings(SCALES[args.scale_dtype] ?? 0, gridEnds(args)?.halfStep ?? 0, flip);
  wasm.measureRows(
    FORMATS[args.scheme],
    KERNEL_DTYPES[dtype] as number,
    from,
    rows,
    cols,
    groupRows,
    groupCols,
    parts.codes,
    (rowCodes * bits) / 8,
    parts.scales ?? 0,
    args.symmetric ? 0 : parts.zero_points,
    zeroStride,
    firstRow,
    stride,
    state,
  );
}

/** Rows and columns that share a scale. */
function extentOf({ scheme, strategy, group_size, block_structure }: QuantizationArgs, cols: number): [number, number] {
  const all = 2 ** 31;
  if (BITS[scheme] === 16 || strategy === 'tensor') return [all, cols];
  if (strategy === 'channel') return [1, cols];
  return strategy === 'group' ? [1, group_size as number] : (block_structure as [number, number]);
}
