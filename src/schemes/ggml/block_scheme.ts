import { f16ToFloat32, float32ToF16 } from '../../core/dtype.js';
import { UsageError } from '../../core/errors.js';
import { NonFiniteWeight, type QuantizationArgs, type Scheme } from '../../core/scheme.js';

/** A format of ggml: blocks of a row, each with its scales and codes together (ggml/src/ggml-common.h). */
export interface BlockFormat {
  numBits: number;
  /** Values of a block. */
  block: number;
  blockBytes: number;
  /** Columns that share a scale. */
  group: number;
  /** Whether groups have a least value besides their scale. */
  hasMinimum: boolean;
  algorithm: QuantizationArgs['algorithm'];
  /** Writes the block of `values` [at, at + block) to `out` from `to` on. False where a scale is beyond a half float. */
  encode(values: Float32Array, at: number, out: Uint8Array, to: number): boolean;
  decode(bytes: Uint8Array, from: number, out: Float32Array, at: number): void;
}

export const storeHalf = (out: Uint8Array, to: number, x: number): boolean => {
  const code = float32ToF16(x);
  out[to] = code;
  out[to + 1] = code >>> 8;
  return (code & 0x7c00) !== 0x7c00;
};

export const loadHalf = (bytes: Uint8Array, from: number): number => f16ToFloat32(bytes[from] | (bytes[from + 1] << 8));

/** The settings of a scheme of ggml's blocks, which has no others. */
export const blockArgs = (id: string, { group, hasMinimum, algorithm }: BlockFormat): QuantizationArgs => ({
  scheme: id,
  strategy: 'group',
  group_size: group,
  symmetric: !hasMinimum,
  scale_dtype: 'F16',
  algorithm,
});

/**
 * A scheme of ggml's blocks: one part `codes` uint8 [rows, ceil(cols / block) * blockBytes], bytes as
 * quantize_row_<id>_ref of ggml/src/ggml-quants.c writes them on a machine without fused multiply-add. A row whose
 * columns no block divides ends with zeros; ggml has no such rows, and layout gguf writes none.
 */
export function blockScheme(id: string, format: BlockFormat): Scheme {
  const { numBits, block, blockBytes } = format;
  const defaults = blockArgs(id, format);
  const padded = new Float32Array(block);
  return {
    numBits,
    type: 'int',
    defaults,

    check(args) {
      const keys = ['strategy', 'group_size', 'symmetric', 'scale_dtype', 'algorithm'] as const;
      const other = keys.find((key) => args[key] !== defaults[key]);
      if (other) {
        throw new UsageError(
          `${id} has ${other} ${defaults[other]} only, not ${args[other]}.`,
          `leave the options of the scheme out: ggml fixes those of ${id}.`,
        );
      }
    },

    rowQuantum: () => 1,

    layout(rows, cols) {
      const rowBytes = Math.ceil(cols / block) * blockBytes;
      return { codes: { dtype: 'UINT8', shape: [rows, rowBytes], nbytes: rows * rowBytes } };
    },

    quantize(values, cols, _args, { codes }) {
      for (let i = 0; i < values.length; i++) {
        if (!Number.isFinite(values[i])) throw new NonFiniteWeight(Math.floor(i / cols), i % cols, values[i]);
      }
      let to = 0;
      for (let row = 0; row < values.length; row += cols) {
        for (let col = 0; col < cols; col += block, to += blockBytes) {
          let fits: boolean;
          if (col + block <= cols) fits = format.encode(values, row + col, codes, to);
          else {
            padded.fill(0);
            padded.set(values.subarray(row + col, row + cols));
            fits = format.encode(padded, 0, codes, to);
          }
          if (!fits) throw beyondRange(values, row, col, Math.min(cols, col + block), cols);
        }
      }
    },

    dequantize({ codes }, rows, cols, _args, out) {
      let from = 0;
      for (let row = 0; row < rows * cols; row += cols) {
        for (let col = 0; col < cols; col += block, from += blockBytes) {
          if (col + block <= cols) format.decode(codes, from, out, row + col);
          else {
            format.decode(codes, from, padded, 0);
            out.set(padded.subarray(0, cols - col), row + col);
          }
        }
      }
    },
  };
}

/** The value that made a scale overflow: the one of the greatest magnitude in the block. */
function beyondRange(values: Float32Array, row: number, from: number, end: number, cols: number): NonFiniteWeight {
  let worst = from;
  for (let col = from; col < end; col++) {
    if (Math.abs(values[row + col]) > Math.abs(values[row + worst])) worst = col;
  }
  return new NonFiniteWeight(row / cols, worst, values[row + worst]);
}
