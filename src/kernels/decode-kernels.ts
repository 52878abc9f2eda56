import { GGML_TYPES } from '../core/gguf.js';
import type { DecodeCall, QuantizationArgs } from '../core/types.js';
import { flipOf, gridExtent, SCALE_KINDS } from './grids.js';
import type { KernelExports } from './wasm.js';

/** The kernel that decodes a scheme's parts. */
interface DecodeKernel {
  decodes?(args: QuantizationArgs): boolean;
  run(wasm: KernelExports, call: DecodeCall): void;
}

const scaledBy =
  (...dtypes: QuantizationArgs['scale_dtype'][]) =>
  (args: QuantizationArgs) =>
    dtypes.includes(args.scale_dtype);

function integers(bits: 4 | 8): DecodeKernel {
  return {
    decodes: scaledBy('F32', 'F16', 'BF16'),
    run(wasm, { parts, cols, args, first, rows, to }) {
      const { blockCols, rowCodes, zeroStride } = gridExtent(args, cols, bits);
      const zeroPoints = args.symmetric ? 0 : parts.zero_points;
      wasm.scaleSettings(SCALE_KINDS[args.scale_dtype], 0);
      const at = [parts.codes, parts.scales, zeroPoints] as const;
      wasm.decodeIntegers(bits, flipOf(args, bits), ...at, cols, blockCols, rowCodes, zeroStride, first, rows, to);
    },
  };
}

/** `format` is the number in assembly/decode_fp8.ts. */
function fp8(format: 0 | 1): DecodeKernel {
  return {
    decodes: (args) => args.strategy !== 'group' && scaledBy('F32', 'BF16', 'F8_E8M0')(args),
    run(wasm, { parts, cols, args, first, rows, to }) {
      const { blockRows, blockCols } = gridExtent(args, cols, 8);
      wasm.scaleSettings(SCALE_KINDS[args.scale_dtype], 0);
      wasm.decodeFp8(format, parts.codes, parts.scales, cols, blockRows, blockCols, first, rows, to);
    },
  };
}

const e2m1 = (scales: QuantizationArgs['scale_dtype']): DecodeKernel => ({
  decodes: scaledBy(scales),
  run(wasm, { parts, cols, args, first, rows, to }) {
    wasm.scaleSettings(SCALE_KINDS[args.scale_dtype], parts.global_scale ?? 0);
    wasm.decodeE2m1(parts.codes, parts.scales, cols, args.group_size as number, first, rows, to);
  },
});

const nf4: DecodeKernel = {
  decodes: scaledBy('F32'),
  run(wasm, { parts, cols, args, first, rows, to }) {
    wasm.scaleSettings(SCALE_KINDS[args.scale_dtype], 0);
    wasm.decodeNf4(parts.codes, parts.scales, args.group_size as number, first * cols, rows * cols, to);
  },
};

/** `format` is the number in assembly/ggml_blocks.ts. */
function blocks(format: number): DecodeKernel {
  return {
    run(wasm, { parts, cols, args, first, rows, to }) {
      const { block, bytes } = GGML_TYPES[args.scheme];
      wasm.decodeGgml(format, parts.codes + first * Math.ceil(cols / block) * bytes, cols, rows, to);
    },
  };
}

function floats(
  bytes: number,
  widen: (wasm: KernelExports, from: number, count: number, to: number) => void,
): DecodeKernel {
  return {
    run: (wasm, { parts, cols, first, rows, to }) => widen(wasm, parts.codes + first * cols * bytes, rows * cols, to),
  };
}

/** Kernels by scheme id. */
const DECODE_KERNELS: Record<string, DecodeKernel> = {
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
};

/** Whether the parts of a scheme have a kernel that decodes them. */
export const dequantizes = (args: QuantizationArgs): boolean =>
  Object.hasOwn(DECODE_KERNELS, args.scheme) && (DECODE_KERNELS[args.scheme].decodes?.(args) ?? true);

/** Decodes whole rows; only where `dequantizes`. */
export const dequantize = (wasm: KernelExports, call: DecodeCall): void =>
  DECODE_KERNELS[call.args.scheme].run(wasm, call);
