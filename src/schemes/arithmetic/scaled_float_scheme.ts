import { bf16ToFloat32, type ElementType, f8e8m0ToFloat32, float32ToBf16 } from '../../core/dtype.js';
import { UsageError } from '../../core/errors.js';
import { NonFiniteWeight, type QuantizationArgs, type Scheme } from '../../core/scheme.js';

const f32 = Math.fround;
const DEFAULT_BLOCK: [number, number] = [128, 128];

const SCALE_TYPES = { F32: 'FLOAT', BF16: 'BFLOAT16', F8_E8M0: 'FLOAT8E8M0' } as const;
type ScaleDtype = keyof typeof SCALE_TYPES;
const SCALE_BYTES: Record<ScaleDtype, number> = { F32: 4, BF16: 2, F8_E8M0: 1 };

/** Below the normal floats a scale has too few digits to divide by. */
const SMALLEST_SCALE = 2 ** -126;

/** Code of the least power of two that is at least `scale`. */
function e8m0AtLeast(scale: number): number {
  let exponent = Math.ceil(Math.log2(scale));
  // the logarithm of a power of two may come out a little above it
  if (2 ** (exponent - 1) >= scale) exponent--;
  return Math.min(Math.max(exponent + 127, 0), 254);
}

interface Extent {
  rows: number;
  cols: number;
}

/** Rows and columns that share a scale. */
function extentOf(rows: number, cols: number, { strategy, block_structure }: QuantizationArgs): Extent {
  if (strategy === 'tensor') return { rows: Math.max(1, rows), cols };
  if (strategy === 'channel') return { rows: 1, cols };
  const [blockRows, blockCols] = block_structure ?? DEFAULT_BLOCK;
  return { rows: blockRows, cols: blockCols };
}

/**
 * Floats of 8 bits with a multiplier for the tensor, for each row (`channel`) or for each block of rows and columns.
 *
 * scale = amax / largest in float32, 1 where all values are 0; stored as F32, rounded to BF16, or rounded up to a power
 * of two (F8_E8M0), before the values are divided by it, clamped to the largest and rounded to nearest even. The
 * value is float32(code) * scale. As deepseek-ai/DeepSeek-V3 inference/kernel.py and compressed-tensors have it.
 * Parts: codes [rows, cols]; scales [1], [rows, 1] or [ceil(rows / r), ceil(cols / c)].
 */
export function scaledFloatScheme(
  id: string,
  dtype: ElementType,
  largest: number,
  encode: (x: number) => number,
  decode: (code: number) => number,
): Scheme {
  const values = Float32Array.from({ length: 256 }, (_, code) => decode(code));

  function scaleCode(amax: number, dtype: QuantizationArgs['scale_dtype']): { code: number; scale: number } {
    const exact = amax === 0 ? 1 : Math.max(f32(amax / largest), SMALLEST_SCALE);
    if (dtype === 'BF16') {
      const code = float32ToBf16(exact);
      return { code, scale: bf16ToFloat32(code) };
    }
    if (dtype === 'F8_E8M0') {
      const code = e8m0AtLeast(exact);
      return { code, scale: f8e8m0ToFloat32(code) };
    }
    return { code: 0, scale: exact };
  }

  function scalesOf(bytes: Uint8Array, { scale_dtype }: QuantizationArgs) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return {
      write(index: number, { code, scale }: { code: number; scale: number }) {
        if (scale_dtype === 'F32') view.setFloat32(4 * index, scale, true);
        else if (scale_dtype === 'BF16') view.setUint16(2 * index, code, true);
        else bytes[index] = code;
      },
      read(index: number): number {
        if (scale_dtype === 'F32') return view.getFloat32(4 * index, true);
        return scale_dtype === 'BF16' ? bf16ToFloat32(view.getUint16(2 * index, true)) : f8e8m0ToFloat32(bytes[index]);
      },
    };
  }

  return {
    numBits: 8,
    type: 'float',
    defaults: { scheme: id, strategy: 'channel', symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' },

    check(args) {
      if (!args.symmetric) throw new UsageError(`${id} has no zero points; --asymmetric does not apply to it.`);
      if (args.algorithm !== 'rtn')
        throw new UsageError(`--algorithm ${args.algorithm}: ${id} has rtn.`, '--algorithm rtn.');
      if (args.strategy === 'group') {
        throw new UsageError(`--strategy group: ${id} has tensor, channel and block.`, '--strategy block.');
      }
      if (!(args.scale_dtype in SCALE_TYPES)) {
        throw new UsageError(
          `--scales ${args.scale_dtype.toLowerCase()}: ${id} stores scales as f32, bf16 or e8m0.`,
          '--scales f32.',
        );
      }
      const sizes = args.block_structure ?? DEFAULT_BLOCK;
      if (sizes.length !== 2 || sizes.some((each) => !Number.isSafeInteger(each) || each < 1)) {
        throw new UsageError(`${id}: a block of ${sizes.join(' x ')} is none.`);
      }
    },

    rowQuantum({ strategy, block_structure, amax }) {
      if (strategy === 'tensor') return amax === undefined ? Number.POSITIVE_INFINITY : 1;
      return strategy === 'channel' ? 1 : (block_structure ?? DEFAULT_BLOCK)[0];
    },

    layout(rows, cols, args) {
      const extent = extentOf(rows, cols, args);
      const [down, across] = [Math.ceil(rows / extent.rows), Math.ceil(cols / extent.cols)];
      const scaleDtype = args.scale_dtype as ScaleDtype;
      const isPerTensor = args.strategy === 'tensor';
      return {
        codes: { dtype, shape: [rows, cols], nbytes: rows * cols },
        scales: {
          dtype: SCALE_TYPES[scaleDtype],
          shape: isPerTensor ? [1] : [down, across],
          nbytes: (isPerTensor ? 1 : down * across) * SCALE_BYTES[scaleDtype],
          ...(isPerTensor ? { fixed: true } : {}),
        },
      };
    },

    quantize(floats, cols, args, out) {
      const rows = floats.length / cols;
      const extent = extentOf(rows, cols, args);
      const across = Math.ceil(cols / extent.cols);
      const scales = scalesOf(out.scales, args);
      for (let i = 0; i < floats.length; i++) {
        if (!Number.isFinite(floats[i])) throw new NonFiniteWeight(Math.floor(i / cols), i % cols, floats[i]);
      }
      forEachBlock(rows, cols, extent, (row, rowEnd, column, columnEnd) => {
        let amax = args.strategy === 'tensor' ? (args.amax ?? 0) : 0;
        if (args.strategy !== 'tensor' || args.amax === undefined) {
          for (let r = row; r < rowEnd; r++) {
            for (let i = r * cols + column; i < r * cols + columnEnd; i++) {
              const magnitude = Math.abs(floats[i]);
              if (magnitude > amax) amax = magnitude;
            }
          }
        }
        const chosen = scaleCode(amax, args.scale_dtype);
        scales.write(Math.floor(row / extent.rows) * across + Math.floor(column / extent.cols), chosen);
        for (let r = row; r < rowEnd; r++) {
          for (let i = r * cols + column; i < r * cols + columnEnd; i++) {
            const scaled = f32(floats[i] / chosen.scale);
            out.codes[i] = encode(Math.max(-largest, Math.min(largest, scaled)));
          }
        }
      });
    },

    dequantize(packed, rows, cols, args, out) {
      const extent = extentOf(rows, cols, args);
      const across = Math.ceil(cols / extent.cols);
      const scales = scalesOf(packed.scales, args);
      forEachBlock(rows, cols, extent, (row, rowEnd, column, columnEnd) => {
        const scale = scales.read(Math.floor(row / extent.rows) * across + Math.floor(column / extent.cols));
        for (let r = row; r < rowEnd; r++) {
          for (let i = r * cols + column; i < r * cols + columnEnd; i++) out[i] = f32(values[packed.codes[i]] * scale);
        }
      });
    },
  };
}

function forEachBlock(
  rows: number,
  cols: number,
  extent: Extent,
  visit: (row: number, rowEnd: number, column: number, columnEnd: number) => void,
): void {
  for (let row = 0; row < rows; row += extent.rows) {
    for (let column = 0; column < cols; column += extent.cols) {
      visit(row, Math.min(rows, row + extent.rows), column, Math.min(cols, column + extent.cols));
    }
  }
}
