import type { Dtype } from '../core/dtype.js';
import { widen } from '../core/dtype.js';
import type { QuantizationArgs } from '../core/scheme.js';

/** A group whose scale the type in which it is stored does not hold: it became infinite, or 0 though its weights are not. */
export interface LostScale {
  row: number;
  column: number;
  isTooLarge: boolean;
}

/**
 * The first scale that float16 does not hold among those of rows that have just been quantized; undefined where all are
 * right, and for other types, whose range is that of float32. `weights` are the rows as they were, in `dtype`.
 */
export function lostScale(
  scales: Uint8Array | undefined,
  weights: (from: number, count: number) => Uint8Array,
  dtype: Dtype,
  cols: number,
  { strategy, group_size: size, scale_dtype: stored }: QuantizationArgs,
): LostScale | undefined {
  if (!scales || stored !== 'F16') return undefined;
  const width = strategy === 'group' && size ? size : cols;
  const across = Math.ceil(cols / width);
  const codes = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  for (let index = 0; 2 * index < scales.length; index++) {
    const magnitude = codes.getUint16(2 * index, true) & 0x7fff;
    if (magnitude !== 0 && magnitude < 0x7c00) continue;
    const [row, column] = [Math.floor(index / across), (index % across) * width];
    if (magnitude !== 0) return { row, column, isTooLarge: true };
    const count = Math.min(width, cols - column);
    const values = new Float32Array(count);
    widen(dtype, weights(row * cols + column, count), values);
    if (values.some((value) => value !== 0)) return { row, column, isTooLarge: false };
  }
  return undefined;
}
