import {
  bf16ToFloat32,
  type Dtype,
  type ElementType,
  f16ToFloat32,
  float32ToBf16,
  float32ToF16,
  widen,
} from '../../core/dtype.js';
import { UsageError } from '../../core/errors.js';
import { own } from '../../core/own.js';
import {
  NonFiniteWeight,
  type Packed,
  type PartLayout,
  type QuantizationArgs,
  type Scheme,
} from '../../core/scheme.js';

const f32 = Math.fround;
const GROUP_SIZES = [16, 32, 64, 128, 256];

/** C's roundf: halves away from zero, in float32. */
export function roundHalfAway(x: number): number {
  const magnitude = Math.abs(x);
  const whole = Math.floor(magnitude);
  const rounded = magnitude - whole >= 0.5 ? whole + 1 : whole;
  return x < 0 ? -rounded : rounded;
}

/** Scale and zero point of one group, the zero point as an unsigned code. */
export interface GroupGrid {
  scale: number;
  zeroPoint: number;
}

/** Rounds a scale to the type in which it is stored. */
export function storedScale(scale: number, args: QuantizationArgs): number {
  if (args.scale_dtype === 'BF16') return bf16ToFloat32(float32ToBf16(scale));
  return args.scale_dtype === 'F16' ? f16ToFloat32(float32ToF16(scale)) : f32(scale);
}

/** 1 / scale in float32, 0 where the scale is 0, as MLAS has it. */
export const reciprocal = (scale: number): number => (scale === 0 ? 0 : f32(1 / scale));

/** Where a group's values are: `count` of them from `from` on. */
export type ChooseGrid = (
  values: Float32Array,
  from: number,
  count: number,
  bits: number,
  args: QuantizationArgs,
) => GroupGrid;

/**
 * Round to nearest on ONNX Runtime's grid (mlas q4_dq.cpp): symmetric, scale = signed absolute maximum / -2^(bits-1);
 * asymmetric, the range widened to include 0 over 2^bits - 1 steps. Signed symmetric codes are made for devices whose
 * scales must be strictly positive (QnnTypes.h, Qnn_ScaleOffset_t): there scale = absolute maximum / (2^(bits-1) - 0.5),
 * as in compressed-tensors, and 1 for a group of zeros.
 */
export const roundToNearestGrid: ChooseGrid = (values, from, count, bits, args) => {
  const middle = 2 ** (bits - 1);
  let low = 0;
  let high = 0;
  for (let i = from; i < from + count; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  if (args.symmetric && args.signed) {
    const scale = storedScale(f32(Math.max(high, -low) / (middle - 0.5)), args);
    return { scale: scale === 0 ? 1 : scale, zeroPoint: middle };
  }
  if (args.symmetric) {
    const extreme = high > -low ? high : low;
    return { scale: storedScale(f32(extreme / -middle), args), zeroPoint: middle };
  }
  const top = 2 ** bits - 1;
  const scale = storedScale(f32(f32(high - low) / top), args);
  const zero = roundHalfAway(f32(f32(0 - low) * reciprocal(scale)));
  return { scale, zeroPoint: Math.min(Math.max(zero, 0), top) };
};

/** Unsigned code of x on a grid. */
export function codeOf(x: number, inverse: number, zeroPoint: number, top: number): number {
  const code = roundHalfAway(f32(f32(x * inverse) + zeroPoint));
  return Math.max(0, Math.min(top, code));
}

export interface Geometry {
  blocks: number;
  blockSize: number;
  /** Codes that a row takes, padding of the last group included. */
  rowCodes: number;
}

/** How the parts of rows of `cols` columns are cut into groups. */
export function geometry(cols: number, args: QuantizationArgs): Geometry {
  if (args.strategy === 'channel') return { blocks: 1, blockSize: cols, rowCodes: cols };
  const blockSize = args.group_size as number;
  const blocks = Math.ceil(cols / blockSize);
  return { blocks, blockSize, rowCodes: blocks * blockSize };
}

export const writeScale = (scales: Uint8Array, index: number, scale: number, args: QuantizationArgs): void => {
  const view = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  if (args.scale_dtype === 'F16') view.setUint16(2 * index, float32ToF16(scale), true);
  else if (args.scale_dtype === 'BF16') view.setUint16(2 * index, float32ToBf16(scale), true);
  else view.setFloat32(4 * index, scale, true);
};

export const readScale = (scales: Uint8Array, index: number, args: QuantizationArgs): number => {
  const view = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  if (args.scale_dtype === 'BF16') return bf16ToFloat32(view.getUint16(2 * index, true));
  return args.scale_dtype === 'F16' ? f16ToFloat32(view.getUint16(2 * index, true)) : view.getFloat32(4 * index, true);
};

/** Writes code `index` of codes of `bits` packed after each other, low nibble first. */
export function setCode(bytes: Uint8Array, index: number, code: number, bits: number): void {
  if (bits === 8) {
    bytes[index] = code;
    return;
  }
  const shift = (index & 1) * 4;
  bytes[index >> 1] = (bytes[index >> 1] & (0xf0 >> shift)) | (code << shift);
}

export const getCode = (bytes: Uint8Array, index: number, bits: number): number =>
  bits === 8 ? bytes[index] : (bytes[index >> 1] >> ((index & 1) * 4)) & 15;

/** Index of a group's zero point among the codes of its part: rows of a group strategy start on a whole byte. */
export const zeroPointIndex = (row: number, block: number, blocks: number, bits: number, args: QuantizationArgs) =>
  args.strategy === 'channel' ? row : (row * Math.ceil((blocks * bits) / 8) * 8) / bits + block;

const SCALE_TYPES: Partial<Record<QuantizationArgs['scale_dtype'], ElementType>> = own({
  F32: 'FLOAT',
  F16: 'FLOAT16',
  BF16: 'BFLOAT16',
});

/**
 * Integer codes with a scale (and a zero point) for each group of a row, or for each row (`channel`).
 *
 * Groups: codes uint8 [rows, ceil(cols / g), g * bits / 8], low nibble first, the last group padded with the code of
 * 0.0; scales [rows, ceil(cols / g)]; zero points uint8 [rows, ceil(groups * bits / 8)], a padding nibble is 8: the
 * bytes of MatMulNBits. Channel: codes [rows, cols] packed over the whole tensor as ONNX packs INT4, scales [rows].
 * `signed` turns codes and zero points into two's complement (nibble ^ 8, byte ^ 0x80).
 */
export function integerScheme(
  id: 'int4' | 'int8',
  bits: 4 | 8,
  grids: Partial<Record<QuantizationArgs['algorithm'], ChooseGrid>>,
): Scheme {
  const top = 2 ** bits - 1;
  const middle = 2 ** (bits - 1);
  const flip = (args: QuantizationArgs) => (args.signed ? middle : 0);
  const zeroPointBytes = (blocks: number) => Math.ceil((blocks * bits) / 8);

  function layout(rows: number, cols: number, args: QuantizationArgs): Record<string, PartLayout> {
    const { blocks, blockSize, rowCodes } = geometry(cols, args);
    const channel = args.strategy === 'channel';
    const integer = `${args.signed ? 'INT' : 'UINT'}${bits}` as PartLayout['dtype'];
    const codeBytes = Math.ceil((rows * rowCodes * bits) / 8);
    const scaleBytes = args.scale_dtype === 'F32' ? 4 : 2;
    const codes: PartLayout =
      channel || args.signed
        ? { dtype: integer, shape: [rows, rowCodes], nbytes: codeBytes }
        : { dtype: 'UINT8', shape: [rows, blocks, (blockSize * bits) / 8], nbytes: codeBytes };
    const zeroPoints: PartLayout = channel
      ? { dtype: integer, shape: [rows], nbytes: Math.ceil((rows * bits) / 8) }
      : { dtype: 'UINT8', shape: [rows, zeroPointBytes(blocks)], nbytes: rows * zeroPointBytes(blocks) };
    return {
      codes,
      scales: {
        dtype: SCALE_TYPES[args.scale_dtype] as ElementType,
        shape: channel ? [rows] : [rows, blocks],
        nbytes: rows * blocks * scaleBytes,
      },
      ...(args.symmetric ? {} : { zero_points: zeroPoints }),
    };
  }

  return {
    numBits: bits,
    type: 'int',
    defaults: {
      scheme: id,
      strategy: 'group',
      group_size: 32,
      symmetric: true,
      scale_dtype: 'F32',
      algorithm: 'mse',
    },

    check(args) {
      if (!grids[args.algorithm]) {
        throw new UsageError(
          `--algorithm ${args.algorithm}: ${id} has ${Object.keys(grids).join(', ')}.`,
          `--algorithm ${Object.keys(grids)[0]}.`,
        );
      }
      if (args.strategy === 'group' && !GROUP_SIZES.includes(args.group_size ?? 0)) {
        throw new UsageError(
          `--group-size ${args.group_size}: ${id} has groups of ${GROUP_SIZES.join(', ')} columns.`,
          '--group-size 32.',
        );
      }
      if (args.strategy !== 'group' && args.strategy !== 'channel') {
        throw new UsageError(`--strategy ${args.strategy}: ${id} has group and channel.`, '--strategy group.');
      }
      if (!SCALE_TYPES[args.scale_dtype]) {
        throw new UsageError(`${id} stores its scales as F32, F16 or BF16, not ${args.scale_dtype}.`, '--scales f32.');
      }
    },

    // In a tensor packed flat, an odd row ends in the middle of a byte.
    rowQuantum: (args) => (args.strategy === 'channel' && bits === 4 ? 2 : 1),

    layout,

    quantize(values, cols, args, out: Packed) {
      const choose = grids[args.algorithm] as ChooseGrid;
      const { blocks, blockSize, rowCodes } = geometry(cols, args);
      const rows = values.length / cols;
      const xor = flip(args);
      // unused nibbles: 8 beside a zero point of a row, 0 at the end of a flat tensor
      out.zero_points?.fill(args.strategy === 'channel' || bits === 8 ? 0 : (8 ^ xor) * 0x11);
      if (bits === 4) out.codes.fill(0);
      for (let row = 0; row < rows; row++) {
        for (let block = 0; block < blocks; block++) {
          const from = row * cols + block * blockSize;
          const count = Math.min(blockSize, cols - block * blockSize);
          for (let i = from; i < from + count; i++) {
            if (!Number.isFinite(values[i])) throw new NonFiniteWeight(row, i - row * cols, values[i]);
          }
          const { scale, zeroPoint } = choose(values, from, count, bits, args);
          const inverse = reciprocal(scale);
          const base = row * rowCodes + block * blockSize;
          for (let i = 0; i < blockSize; i++) {
            const code = i < count ? codeOf(values[from + i], inverse, zeroPoint, top) : zeroPoint;
            setCode(out.codes, base + i, code ^ xor, bits);
          }
          writeScale(out.scales, row * blocks + block, scale, args);
          if (out.zero_points) {
            setCode(out.zero_points, zeroPointIndex(row, block, blocks, bits, args), zeroPoint ^ xor, bits);
          }
        }
      }
    },

    dequantize(packed, rows, cols, args, out) {
      const { blocks, blockSize, rowCodes } = geometry(cols, args);
      const xor = flip(args);
      const scales = new Float32Array(rows * blocks);
      widen(args.scale_dtype as Dtype, packed.scales, scales);
      for (let row = 0; row < rows; row++) {
        for (let block = 0; block < blocks; block++) {
          const scale = scales[row * blocks + block];
          const zeroPoint = args.symmetric
            ? middle
            : getCode(packed.zero_points, zeroPointIndex(row, block, blocks, bits, args), bits) ^ xor;
          const from = row * cols + block * blockSize;
          const to = Math.min(from + blockSize, (row + 1) * cols);
          const code = row * rowCodes + block * blockSize;
          // A product of 8 and 24 bits is exact in float64, so that `out` rounds it once.
          let i = from;
          if (bits === 4 && code % 2 === 0) {
            for (let byte = code / 2; i + 1 < to; i += 2, byte++) {
              const pair = packed.codes[byte];
              out[i] = (((pair & 15) ^ xor) - zeroPoint) * scale;
              out[i + 1] = (((pair >> 4) ^ xor) - zeroPoint) * scale;
            }
          }
          for (; i < to; i++) out[i] = ((getCode(packed.codes, code + i - from, bits) ^ xor) - zeroPoint) * scale;
        }
      }
    },
  };
}
