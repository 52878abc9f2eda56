import { type Dtype, float32ToF16, widen } from '../../core/dtype.js';
import type { Packed, QuantizationArgs } from '../../core/scheme.js';
import { geometry, getCode, setCode, zeroPointIndex } from '../../schemes/arithmetic/integer_scheme.js';
import { halvesOf } from './words.js';

/** Rows of integer codes in one order for every layout: what lies between its bytes and a scheme's parts. */
export interface IntegerRows {
  bits: 4 | 8;
  /** Unsigned codes of each row after each other, lowest first; a row starts every `rowBytes` bytes. */
  codes: Uint8Array;
  rowBytes: number;
  /** [count, groups]. */
  scales: Float32Array;
  /** Unsigned codes, one a byte [count, groups]; undefined where each is 2^(bits-1). */
  zeroPoints?: Uint8Array | undefined;
  /** Columns of a group. */
  groupSize: number;
  /** The group of each column where columns do not follow their groups in order. */
  groupOf?: Int32Array | undefined;
}

/** Scales as float32. */
export function scalesOf(dtype: Dtype, bytes: Uint8Array, count: number): Float32Array {
  const scales = new Float32Array(count);
  widen(dtype, bytes, scales);
  return scales;
}

/** Float32 scales in the type in which they are stored. */
export function storeScales(scales: Float32Array, dtype: QuantizationArgs['scale_dtype'], out: Uint8Array): void {
  if (dtype === 'F32') {
    out.set(new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength));
    return;
  }
  const codes = halvesOf(out);
  if (dtype === 'F16') for (let i = 0; i < scales.length; i++) codes[i] = float32ToF16(scales[i]);
  else {
    // to nearest even, as float32ToBf16 for numbers
    const bits = new Uint32Array(scales.buffer, scales.byteOffset, scales.length);
    for (let i = 0; i < bits.length; i++) codes[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  if (codes.buffer !== out.buffer) out.set(new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength));
}

/** (code - zero point) * scale, float32 [count, cols]. */
export function integerValues(rows: IntegerRows, count: number, cols: number, out: Float32Array): void {
  const { codes, rowBytes, scales, zeroPoints, groupSize, groupOf, bits } = rows;
  const groups = scales.length / count;
  const middle = 2 ** (bits - 1);
  if (groupOf) {
    permutedValues(rows, count, cols, out);
    return;
  }
  for (let row = 0; row < count; row++) {
    for (let start = 0, group = row * groups; start < cols; start += groupSize, group++) {
      const end = Math.min(cols, start + groupSize);
      const scale = scales[group];
      const zero = zeroPoints ? zeroPoints[group] : middle;
      let i = row * cols + start;
      if (bits === 8) {
        const shift = row * rowBytes - row * cols;
        for (const last = row * cols + end; i < last; i++) out[i] = (codes[shift + i] - zero) * scale;
      } else if ((start | end) & 1) {
        for (let col = start; col < end; col++) {
          out[i++] = (((codes[row * rowBytes + (col >> 1)] >> ((col & 1) * 4)) & 15) - zero) * scale;
        }
      } else {
        let at = row * rowBytes + (start >> 1);
        for (const last = row * rowBytes + (end >> 1); at < last; at++) {
          out[i++] = ((codes[at] & 15) - zero) * scale;
          out[i++] = ((codes[at] >> 4) - zero) * scale;
        }
      }
    }
  }
}

function permutedValues(rows: IntegerRows, count: number, cols: number, out: Float32Array): void {
  const { codes, rowBytes, scales, zeroPoints, bits } = rows;
  const groupOf = rows.groupOf as Int32Array;
  const groups = scales.length / count;
  const perByte = 8 / bits;
  for (let row = 0; row < count; row++) {
    for (let col = 0; col < cols; col++) {
      const group = row * groups + groupOf[col];
      const code = getCode(codes, row * rowBytes * perByte + col, bits);
      out[row * cols + col] = (code - (zeroPoints ? zeroPoints[group] : 2 ** (bits - 1))) * scales[group];
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
  const { codes, rowBytes, scales, zeroPoints, bits } = rows;
  const { blocks, rowCodes } = geometry(cols, args);
  const middle = 2 ** (bits - 1);
  const xor = args.signed ? middle : 0;
  if (rowCodes === cols && rowBytes * 8 === cols * bits) {
    out.codes.set(codes.subarray(0, count * rowBytes));
    flipCodes(out.codes, bits, xor);
  } else copyCodes(rows, count, cols, args, xor, out.codes);
  storeScales(scales, args.scale_dtype, out.scales);
  if (!out.zero_points) return;
  // unused nibbles as the scheme leaves them: 8 beside a zero point of a row, 0 at the end of a flat tensor
  out.zero_points.fill(args.strategy === 'channel' || bits === 8 ? 0 : (8 ^ xor) * 0x11);
  for (let row = 0; row < count; row++) {
    for (let block = 0; block < blocks; block++) {
      const zeroPoint = zeroPoints ? zeroPoints[row * blocks + block] : middle;
      setCode(out.zero_points, zeroPointIndex(row, block, blocks, bits, args), zeroPoint ^ xor, bits);
    }
  }
}

/** The scheme's zero points of some rows as unsigned codes, one a byte [rows, groups]. */
export function spreadZeroPoints(
  packed: Uint8Array,
  rows: number,
  groups: number,
  bits: 4 | 8,
  args: QuantizationArgs,
): Uint8Array {
  const zeroPoints = new Uint8Array(rows * groups);
  const xor = args.signed ? 2 ** (bits - 1) : 0;
  // rows of a group strategy start on a whole byte
  const perRow = zeroPointIndex(1, 0, groups, bits, args);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let at = row * perRow, end = at + groups; at < end; at++, i++) {
      zeroPoints[i] = (bits === 8 ? packed[at] : (packed[at >> 1] >> ((at & 1) * 4)) & 15) ^ xor;
    }
  }
  return zeroPoints;
}

/** Between unsigned codes and two's complement: flips the highest bit of each. */
export function flipCodes(codes: Uint8Array, bits: 4 | 8, xor: number): void {
  if (xor === 0) return;
  const mask = bits === 4 ? xor * 0x11 : xor;
  for (let i = 0; i < codes.length; i++) codes[i] ^= mask;
}

/** Codes one by one, where rows end inside a byte or are padded: the last group of a row ends with the code of 0. */
function copyCodes(
  { codes, rowBytes, scales, zeroPoints, bits }: IntegerRows,
  count: number,
  cols: number,
  args: QuantizationArgs,
  xor: number,
  out: Uint8Array,
): void {
  const { blocks, blockSize, rowCodes } = geometry(cols, args);
  const groups = scales.length / count;
  const perByte = 8 / bits;
  out.fill(0);
  for (let row = 0; row < count; row++) {
    for (let col = 0; col < blocks * blockSize; col++) {
      const padding = zeroPoints ? zeroPoints[row * groups + groups - 1] : 2 ** (bits - 1);
      const code = col < cols ? getCode(codes, row * rowBytes * perByte + col, bits) : padding;
      setCode(out, row * rowCodes + col, code ^ xor, bits);
    }
  }
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
