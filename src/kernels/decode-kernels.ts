import { GGML_TYPES } from '../core/gguf.js';
import type { DecodeRows } from '../core/kernels.js';
import { own } from '../core/own.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { flipOf, gridExtent, SCALE_KINDS } from './grids.js';
import type { KernelExports } from './wasm.js';

/** The kernel that decodes a scheme's parts: opened once for many rows, since looking up and unpacking settings costs. */
interface DecodeKernel {
  decodes?(args: QuantizationArgs): boolean;
  open(wasm: KernelExports, args: QuantizationArgs, cols: number): DecodeRows;
}

const scaledBy =
  (...dtypes: QuantizationArgs['scale_dtype'][]) =>
  (args: QuantizationArgs) =>
    dtypes.includes(args.scale_dtype);

function integers(bits: 4 | 8): DecodeKernel {
  return {
    decodes: scaledBy('F32', 'F16', 'BF16'),
    open(wasm, args, cols) {
      const { blockCols, rowCodes, zeroStride } = gridExtent(args, cols, bits);
      const [kind, flip, isSymmetric] = [SCALE_KINDS[args.scale_dtype], flipOf(args, bits), args.symmetric];
      return ({ codes, scales, zero_points }, first, rows, to) => {
        const zeros = isSymmetric ? 0 : zero_points;
        wasm.scaleSettings(kind, 0);
        wasm.decodeIntegers(bits, flip, codes, scales, zeros, cols, blockCols, rowCodes, zeroStride, first, rows, to);
      };
    },
  };
}

/** `format` is the number in assembly/fp8.ts. */
function fp8(format: 0 | 1): DecodeKernel {
  return {
    decodes: (args) => args.strategy !== 'group' && scaledBy('F32', 'BF16', 'F8_E8M0')(args),
    open(wasm, args, cols) {
      const { blockRows, blockCols } = gridExtent(args, cols, 8);
      const kind = SCALE_KINDS[args.scale_dtype];
      return ({ codes, scales }, first, rows, to) => {
        wasm.scaleSettings(kind, 0);
        wasm.decodeFp8(format, codes, scales, cols, blockRows, blockCols, first, rows, to);
      };
    },
  };
}

const e2m1 = (scaleType: QuantizationArgs['scale_dtype']): DecodeKernel => ({
  decodes: scaledBy(scaleType),
  open(wasm, args, cols) {
    const [kind, group] = [SCALE_KINDS[args.scale_dtype], args.group_size as number];
    return ({ codes, scales, global_scale = 0 }, first, rows, to) => {
      wasm.scaleSettings(kind, global_scale);
      wasm.decodeE2m1(codes, scales, cols, group, first, rows, to);
    };
  },
});

const nf4: DecodeKernel = {
  decodes: scaledBy('F32'),
  open(wasm, args, cols) {
    const [kind, group] = [SCALE_KINDS[args.scale_dtype], args.group_size as number];
    return ({ codes, scales }, first, rows, to) => {
      wasm.scaleSettings(kind, 0);
      wasm.decodeNf4(codes, scales, group, first * cols, rows * cols, to);
    };
  },
};

/** `format` is the number in assembly/ggml_formats.ts. */
function blocks(format: number): DecodeKernel {
  return {
    open(wasm, args, cols) {
      const { block, bytes } = GGML_TYPES[args.scheme];
      const rowBytes = Math.ceil(cols / block) * bytes;
      return ({ codes }, first, rows, to) => wasm.decodeGgml(format, codes + first * rowBytes, cols, rows, to);
    },
  };
}

function floats(
  bytes: number,
  widen: (wasm: KernelExports, from: number, count: number, to: number) => void,
): DecodeKernel {
  return {
    open:
      (wasm, _args, cols) =>
      ({ codes }, first, rows, to) =>
        widen(wasm, codes + first * cols * bytes, rows * cols, to),
  };
}

/** Kernels by scheme id. */
const DECODE_KERNELS: Record<string, DecodeKernel> = own({
  int4: integers(4),
  int8: integers(8),
  fp8_e4m3: fp8(0),
  fp8_e5m2: fp8(1),
  nf4,
  mxfp4: e2m1('F8_E8M0'),
  nvfp4: e2m1('F8_E4M3'),
  q4_0: blocks(0),
  q4_1: blocks(1),
  q5_0: blocks(2),
  q5_1: blocks(3),
  q8_0: blocks(4),
  q4_k: blocks(5),
  q5_k: blocks(6),
  q6_k: blocks(7),
  f32: floats(4, ({ memory }, from, count, to) => new Uint8Array(memory.buffer).copyWithin(to, from, from + 4 * count)),
  f16: floats(2, (wasm, from, count, to) => wasm.widenHalves(from, count, to)),
  bf16: floats(2, (wasm, from, count, to) => wasm.widenBrains(from, count, to)),
});

/** Whether the parts of a scheme have a kernel that decodes them. */
export const dequantizes = (args: QuantizationArgs): boolean =>
  Object.hasOwn(DECODE_KERNELS, args.scheme) && (DECODE_KERNELS[args.scheme].decodes?.(args) ?? true);

/** A decoder of rows of `cols` columns; only where `dequantizes`. */
export const openDecoder = (wasm: KernelExports, args: QuantizationArgs, cols: number): DecodeRows =>
  DECODE_KERNELS[args.scheme].open(wasm, args, cols);
