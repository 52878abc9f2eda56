import { widen } from '../../core/dtype.js';
import type { Dtype, Packed, QuantizationArgs } from '../../core/types.js';
import { geometry, setCode, writeScale, zeroPointIndex } from '../../schemes/arithmetic/integer_scheme.js';

/** Rows of integer codes in one order for every layout: what lies between its bytes and a scheme's parts. */
export interface IntegerRows {
  bits: 4 | 8;
  /** Unsigned codes [count, cols], one a byte. */
  codes: Uint8Array;
  /** [count, groups]. */
  scales: Float32Array;
  /** Unsigned codes [count, groups]; undefined where each is 2^(bits-1). */
  zeroPoints?: Uint8Array;
  /** Columns of a group. */
  groupSize: number;
  /** The group of each column where columns do not follow their groups in order. */
  groupOf?: Int32Array;
}

/** Scales as float32. */
export function scalesOf(dtype: Dtype, bytes: Uint8Array, count: number): Float32Array {
  const scales = new Float32Array(count);
  widen(dtype, bytes, scales);
  return scales;
}

/** (code - zero point) * scale, float32 [count, cols]. */
export function integerValues(rows: IntegerRows, count: number, cols: number, out: Float32Array): void {
  const { codes, scales, zeroPoints, groupSize, groupOf, bits } = rows;
  const groups = scales.length / count;
  const middle = 2 ** (bits - 1);
  for (let row = 0; row < count; row++) {
    for (let start = 0; start < cols; start += groupSize) {
      const end = Math.min(cols, start + groupSize);
      let group = row * groups + start / groupSize;
      for (let col = start; col < end; col++) {
        if (groupOf) group = row * groups + groupOf[col];
        const i = row * cols + col;
        out[i] = (codes[i] - (zeroPoints ? zeroPoints[group] : middle)) * scales[group];
      }
    }
  }
}

/** The same rows as parts of the scheme int4 or int8, every code and scale kept. */
export function integerParts(
  rows: IntegerRows,
  count: number,
  cols: number,
  args: QuantizationArgs,
  out: Packed,
): void {
  const { codes, scales, zeroPoints, bits } = rows;
  const { blocks, blockSize, rowCodes } = geometry(cols, args);
  const middle = 2 ** (bits - 1);
  const xor = args.signed ? middle : 0;
  // unused nibbles as the scheme leaves them: 8 beside a zero point of a row, 0 at the end of a flat tensor
  out.zero_points?.fill(args.strategy === 'channel' || bits === 8 ? 0 : (8 ^ xor) * 0x11);
  out.codes.fill(0);
  for (let row = 0; row < count; row++) {
    for (let block = 0; block < blocks; block++) {
      const group = row * blocks + block;
      const zeroPoint = zeroPoints ? zeroPoints[group] : middle;
      const start = block * blockSize;
      for (let col = start; col < start + blockSize; col++) {
        const code = col < cols ? codes[row * cols + col] : zeroPoint;
        setCode(out.codes, row * rowCodes + col, code ^ xor, bits);
      }
      writeScale(out.scales, group, scales[group], args);
      if (out.zero_points)
        setCode(out.zero_points, zeroPointIndex(row, block, blocks, bits, args), zeroPoint ^ xor, bits);
    }
  }
}

/** Codes of `bits` packed low first, `perRow` bytes a row, as one byte each [count, cols]. */
export function spreadCodes(packed: Uint8Array, bits: 4 | 8, count: number, cols: number, perRow: number): Uint8Array {
  const codes = new Uint8Array(count * cols);
  for (let row = 0; row < count; row++) {
    const from = row * perRow;
    const to = row * cols;
    if (bits === 8) codes.set(packed.subarray(from, from + cols), to);
    else for (let col = 0; col < cols; col++) codes[to + col] = (packed[from + (col >> 1)] >> ((col & 1) * 4)) & 15;
  }
  return codes;
}

/** Group sizes that the schemes int4 and int8 have. */
const GROUP_SIZES = [16, 32, 64, 128, 256];

/** The scheme that has the grid of such rows; undefined where none has. */
export function integerGrid(
  bits: 4 | 8,
  cols: number,
  groupSize: number,
  symmetric: boolean,
  scales: Dtype,
): QuantizationArgs | undefined {
  const isGroup = GROUP_SIZES.includes(groupSize);
  if (!isGroup && groupSize !== cols) return undefined;
  if (scales !== 'F32' && scales !== 'F16' && scales !== 'BF16') return undefined;
  return {
    scheme: bits === 4 ? 'int4' : 'int8',
    ...(isGroup ? { strategy: 'group', group_size: groupSize } : { strategy: 'channel' }),
    symmetric,
    scale_dtype: scales,
    algorithm: 'rtn',
  };
}
