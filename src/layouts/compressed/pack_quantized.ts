import type { TensorRef } from '../../core/checkpoint.js';
import type { Json } from '../../core/json.js';
import type { Packed } from '../../core/scheme.js';
import type { PackedSource } from '../../core/weights.js';
import { groupIndex, isPermuted } from '../packing/group-index.js';
import { type IntegerRows, integerGrid, integerParts, integerValues, scalesOf } from '../packing/integer-rows.js';
import { allBytes, packedMatrix, partOf, refuseBits, refuseShape, rowBytes } from '../packing/stored-tensors.js';
import type { CompressedForm } from './form.js';

/** Codes of a 32-bit word. */
const perWord = (bits: number) => 32 / bits;

/** Whether the matrix has one scale (strategy `tensor`). */
const isOneScale = ({ rows, parts: { scales } }: PackedSource) => rows > 1 && scales.shape.every((each) => each === 1);

const bitsOf = (source: PackedSource) => source.parameters.bits as 4 | 8;

/**
 * pack-quantized: integer codes, unsigned, in 32-bit words along the columns, lowest first; a scale for each group of
 * a row, or each row; zero points in words along the rows (pack_to_int32 of compressed-tensors' helpers.py).
 */
export const packQuantized: CompressedForm = {
  matrix(module, tensors, values, sizes) {
    const name = `${module}.weight`;
    const codes = partOf(name, tensors, `${module}.weight_packed`, ['I32']);
    const shape = partOf(name, tensors, `${module}.weight_shape`, ['I64'], [2]);
    const [rows, cols] = [...new BigInt64Array(values.read(shape).slice().buffer)].map(Number);
    const bits = ([4, 8] as const).find((each) => Math.ceil((cols * each) / 32) === codes.shape[1]);
    const other = [2, 3, 5, 6].find((each) => Math.ceil(cols / Math.floor(32 / each)) === codes.shape[1]);
    if (!bits && other) refuseBits(codes, name, other);
    if (!bits || codes.shape.length !== 2 || codes.shape[0] !== rows || cols < 1) {
      refuseShape(codes, name, `codes of 4 or 8 bits of the [${rows}, ${cols}] that "${shape.name}" states`);
    }
    const scales = partOf(name, tensors, `${module}.weight_scale`, ['BF16', 'F16', 'F32']);
    const isOne = ['', '1', '1,1'].includes(String(scales.shape)) && rows > 1;
    const groups = isOne ? 1 : (scales.shape[1] ?? 0);
    const groupSize =
      sizes.groups.find((size) => Math.ceil(cols / size) === groups) ?? (cols % groups === 0 ? cols / groups : 0);
    if (!isOne && (scales.shape.length !== 2 || scales.shape[0] !== rows || groupSize === 0)) {
      refuseShape(scales, name, `[1] or [${rows}, groups of a row of ${cols}]`);
    }
    const parts: Record<string, TensorRef> = { codes, scales, weight_shape: shape };
    if (sizes.isAsymmetric || tensors.has(`${module}.weight_zero_point`)) {
      if (isOne) refuseShape(scales, name, `[${rows}, groups], as it has zero points`);
      const packed = [Math.ceil(rows / perWord(bits)), groups];
      parts.zero_points = partOf(name, tensors, `${module}.weight_zero_point`, ['I32'], packed);
    }
    const parameters: Record<string, Json> = { bits, group_size: groupSize, form: 'pack-quantized' };
    if (tensors.has(`${module}.weight_g_idx`)) {
      parts.group_index = partOf(name, tensors, `${module}.weight_g_idx`, ['I32'], [cols]);
      parameters.permuted = isPermuted(parts.group_index, groupSize, groups, values);
    }
    return packedMatrix('compressed_tensors', name, [rows, cols], parts, parameters);
  },

  // eight rows share a word of zero points
  rowQuantum: (source) => (source.parts.zero_points ? perWord(bitsOf(source)) : 1),

  needs(source, from, count) {
    const { codes, scales, zero_points: zeroPoints, group_index: index } = source.parts;
    return {
      codes: [rowBytes(codes, from, count)],
      scales: [isOneScale(source) ? allBytes(scales) : rowBytes(scales, from, count)],
      ...(zeroPoints ? { zero_points: [rowBytes(zeroPoints, from, count, perWord(bitsOf(source)))] } : {}),
      ...(source.parameters.permuted ? { group_index: [allBytes(index)] } : {}),
    };
  },

  decode(source, _from, count, bytes, out) {
    integerValues(openRows(source, count, bytes), count, source.cols, out);
  },

  grid(source) {
    if (source.parameters.permuted) return undefined;
    const { scales, zero_points: zeroPoints } = source.parts;
    if (isOneScale(source)) return integerGrid(bitsOf(source), source.cols, source.cols, true, scales.dtype);
    return integerGrid(bitsOf(source), source.cols, source.parameters.group_size as number, !zeroPoints, scales.dtype);
  },

  unpack(source, _from, count, bytes, args, out) {
    integerParts(openRows(source, count, bytes), count, source.cols, args, out);
  },
};

function openRows(source: PackedSource, count: number, bytes: Packed): IntegerRows {
  const bits = bitsOf(source);
  const { scales, codes } = source.parts;
  const isOne = isOneScale(source);
  const groups = isOne ? 1 : scales.shape[1];
  const stored = scalesOf(scales.dtype, bytes.scales, isOne ? 1 : count * groups);
  return {
    bits,
    codes: bytes.codes,
    rowBytes: 4 * codes.shape[1],
    scales: isOne ? new Float32Array(count).fill(stored[0]) : stored,
    zeroPoints: bytes.zero_points ? zeroPointsOf(bytes.zero_points, bits, count, groups) : undefined,
    groupSize: source.parameters.group_size as number,
    groupOf: bytes.group_index ? groupIndex(bytes.group_index) : undefined,
  };
}

/** Zero points [count, groups] from words [ceil(count / codes a word), groups]. */
function zeroPointsOf(words: Uint8Array, bits: 4 | 8, count: number, groups: number): Uint8Array {
  const zeroPoints = new Uint8Array(count * groups);
  for (let row = 0; row < count; row++) {
    const within = row % perWord(bits);
    for (let group = 0; group < groups; group++) {
      const word = Math.floor(row / perWord(bits)) * groups + group;
      const byte = words[4 * word + ((within * bits) >> 3)];
      zeroPoints[row * groups + group] = bits === 8 ? byte : (byte >> ((within & 1) * 4)) & 15;
    }
  }
  return zeroPoints;
}
