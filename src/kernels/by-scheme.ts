import { type Dtype, float32ToBf16 } from '../core/dtype.js';
import { own } from '../core/own.js';
import { NonFiniteWeight, type QuantizationAlgorithm, type QuantizationArgs } from '../core/scheme.js';
import { flipOf, gridExtent, SCALE_KINDS } from './grids.js';
import type { KernelExports } from './wasm.js';

/** Stored dtypes that kernels read, by their numbers in assembly/lanes.ts. */
export const KERNEL_DTYPES: Partial<Record<Dtype, number>> = own({ BF16: 0, F32: 1, F16: 2 });

/** What one call quantizes: rows of a stored dtype at an address, and the address of each part. */
export interface KernelCall {
  dtype: number;
  from: number;
  rows: number;
  cols: number;
  args: QuantizationArgs;
  out: Record<string, number>;
}

/** The kernel of a scheme. */
export interface SchemeKernel {
  supports(args: QuantizationArgs): boolean;
  /** False where a value is refused. */
  run(wasm: KernelExports, call: KernelCall): boolean;
  /** Whether the scheme refuses a value: a number that is not finite, or one beyond the range of the format. */
  refuses(x: number): boolean;
}

const notFinite = (x: number) => !Number.isFinite(x);

/** Algorithms of integers by their numbers in assembly/search_settings.ts; `hqq` needs none. */
const SEARCHES: Record<QuantizationAlgorithm, number> = { rtn: 0, mse: 1, kquant: 2, hqq: 0 };

function integerKernel(bits: 4 | 8): SchemeKernel {
  return {
    supports: ({ strategy, scale_dtype }) =>
      scale_dtype in KERNEL_DTYPES && (strategy === 'group' || strategy === 'channel'),
    run(wasm, { dtype, from, rows, cols, args, out }) {
      const flip = flipOf(args, bits);
      const scaleDtype = KERNEL_DTYPES[args.scale_dtype] as number;
      wasm.integerSettings(bits, Number(args.symmetric), scaleDtype, flip);
      wasm.searchSettings(SEARCHES[args.algorithm], args.strategy === 'group' ? (args.group_size as number) : 0);
      const parts = [out.codes, out.scales, args.symmetric ? 0 : out.zero_points] as const;
      if (args.algorithm === 'hqq') {
        return args.strategy === 'channel'
          ? wasm.halfQuadraticRows(dtype, scaleDtype, from, rows, cols, ...parts) !== 0
          : wasm.halfQuadraticGroups(dtype, scaleDtype, from, rows, cols, args.group_size as number, ...parts) !== 0;
      }
      return args.strategy === 'channel'
        ? wasm.integerRows(dtype, from, rows, cols, ...parts) !== 0
        : wasm.integerGroups(dtype, from, rows, cols, args.group_size as number, ...parts) !== 0;
    },
    refuses: notFinite,
  };
}

function floatKernel(target: Dtype, refuses: (x: number) => boolean): SchemeKernel {
  return {
    supports: () => true,
    run: (wasm, { dtype, from, rows, cols, out }) =>
      wasm.convertFloats(dtype, KERNEL_DTYPES[target] as number, from, rows * cols, out.codes) !== 0,
    refuses,
  };
}

function fp8Kernel(target: 0 | 1): SchemeKernel {
  return {
    supports: ({ algorithm, strategy, scale_dtype }) =>
      algorithm === 'rtn' && strategy !== 'group' && ['F32', 'BF16', 'F8_E8M0'].includes(scale_dtype),
    run(wasm, { dtype, from, rows, cols, args, out }) {
      const { blockRows, blockCols } = gridExtent(args, cols, 8);
      wasm.fp8Settings(
        SCALE_KINDS[args.scale_dtype],
        args.strategy === 'tensor' ? (args.amax ?? Number.NaN) : Number.NaN,
      );
      return wasm.fp8Blocks(dtype, target, from, rows, cols, blockRows, blockCols, out.codes, out.scales) !== 0;
    },
    refuses: notFinite,
  };
}

/** `format` is the number in assembly/e2m1_groups.ts. */
function e2m1Kernel(format: 0 | 1): SchemeKernel {
  return {
    supports: ({ algorithm }) => algorithm === 'rtn' || algorithm === 'mse',
    run(wasm, { dtype, from, rows, cols, args, out }) {
      const isSearched = Number(args.algorithm === 'mse');
      const parts = [out.codes, out.scales, out.global_scale ?? 0] as const;
      return wasm.e2m1Groups(format, isSearched, dtype, from, rows, cols, args.amax ?? Number.NaN, ...parts) !== 0;
    },
    refuses: notFinite,
  };
}

const nf4Kernel: SchemeKernel = {
  supports: () => true,
  run: (wasm, { dtype, from, rows, cols, args, out }) =>
    wasm.nf4Blocks(dtype, from, rows * cols, args.group_size as number, out.codes, out.scales) !== 0,
  refuses: notFinite,
};

/** `format` is the number in assembly/ggml_formats.ts. */
function blockKernel(format: number): SchemeKernel {
  return {
    supports: () => true,
    run(wasm, { dtype, from, rows, cols, out }) {
      const result = wasm.ggmlBlocks(format, dtype, from, rows, cols, out.codes);
      if (result !== 2) return result !== 0;
      const at = wasm.refusedIndex();
      throw new NonFiniteWeight(Math.floor(at / cols), at % cols, wasm.refusedValue());
    },
    refuses: notFinite,
  };
}

/** Kernels by scheme id. */
export const SCHEME_KERNELS: Record<string, SchemeKernel> = own({
  int4: integerKernel(4),
  int8: integerKernel(8),
  fp8_e4m3: fp8Kernel(0),
  fp8_e5m2: fp8Kernel(1),
  nf4: nf4Kernel,
  mxfp4: e2m1Kernel(0),
  nvfp4: e2m1Kernel(1),
  q4_0: blockKernel(0),
  q4_1: blockKernel(1),
  q5_0: blockKernel(2),
  q5_1: blockKernel(3),
  q8_0: blockKernel(4),
  q4_k: blockKernel(5),
  q5_k: blockKernel(6),
  q6_k: blockKernel(7),
  f32: floatKernel('F32', notFinite),
  f16: floatKernel('F16', (x) => !(Math.abs(x) < 65520)),
  bf16: floatKernel('BF16', (x) => (float32ToBf16(x) & 0x7f80) === 0x7f80),
});
