import type { TensorRef } from '../../core/checkpoint.js';
import type { Layout, StoredValues } from '../../core/layout.js';
import type { Packed } from '../../core/scheme.js';
import type { LogicalTensor, PackedSource } from '../../core/weights.js';
import { groupIndex, isPermuted } from '../packing/group-index.js';
import { type IntegerRows, integerGrid, integerParts, integerValues, scalesOf } from '../packing/integer-rows.js';
import {
  allBytes,
  columnBytes,
  packedMatrix,
  partOf,
  refuseBits,
  refuseShape,
  type Tensors,
} from '../packing/stored-tensors.js';
import { repeated, segmentedQuantum, transpose, wordsOf } from '../packing/words.js';

/** How a module's words are to be read. */
interface GptqParameters {
  bits: 4 | 8;
  group_size: number;
  /** Added to stored zero points: 1 in the first version of the format, 0 in the second. */
  zero_offset: 0 | 1;
  symmetric: boolean;
  permuted: boolean;
}

const parametersOf = (source: PackedSource) => source.parameters as unknown as GptqParameters;

/**
 * A module of GPTQ: qweight I32 [K / codes a word, N], a word of codes down the inputs, lowest first; qzeros I32
 * [K / g, N / codes a word], along the outputs; scales [K / g, N]; g_idx I32 [K], the group of each input.
 */
export function gptqMatrix(
  layout: string,
  module: string,
  tensors: Tensors,
  values: StoredValues,
  groupSize: number | undefined,
): LogicalTensor {
  const name = `${module}.weight`;
  const scales = partOf(name, tensors, `${module}.scales`, ['F16', 'BF16', 'F32']);
  const zeroPoints = partOf(name, tensors, `${module}.qzeros`, ['I32']);
  const codes = partOf(name, tensors, `${module}.qweight`, ['I32']);
  const [groups, rows] = scales.shape;
  const bits = ([4, 8] as const).find((each) => String(zeroPoints.shape) === String([groups, (rows * each) / 32]));
  if (!bits || scales.shape.length !== 2) {
    const other = [2, 3, 5, 6].find((each) => String(zeroPoints.shape) === String([groups, (rows * each) / 32]));
    if (other) refuseBits(zeroPoints, name, other);
    refuseShape(zeroPoints, name, `[${groups}, ${rows} / 8 or ${rows} / 4]`);
  }
  const cols = (codes.shape[0] * 32) / bits;
  if (codes.shape.length !== 2 || codes.shape[1] !== rows) refuseShape(codes, name, `[inputs / ${32 / bits}, ${rows}]`);
  const size = groupSize && Math.ceil(cols / groupSize) === groups ? groupSize : cols / groups;
  if (!Number.isInteger(size)) refuseShape(scales, name, `whole groups of ${cols} inputs`);
  const parts: Record<string, TensorRef> = { codes, scales, zero_points: zeroPoints };
  let permuted = false;
  if (tensors.has(`${module}.g_idx`)) {
    parts.group_index = partOf(name, tensors, `${module}.g_idx`, ['I32'], [cols]);
    permuted = isPermuted(parts.group_index, size, groups, values);
  }
  const parameters: GptqParameters = { bits, group_size: size, zero_offset: 0, symmetric: false, permuted };
  return packedMatrix(layout, name, [rows, cols], parts, { ...parameters });
}

export const gptqRows: Pick<Layout, 'rowQuantum' | 'needs' | 'decode' | 'grid' | 'unpack'> = {
  rowQuantum: ({ cols }) => segmentedQuantum(cols),

  needs(source, from, count) {
    const { codes, scales, zero_points: zeroPoints, group_index: index } = source.parts;
    const { bits, symmetric, permuted } = parametersOf(source);
    return {
      codes: columnBytes(codes, from, count),
      scales: columnBytes(scales, from, count),
      ...(symmetric ? {} : { zero_points: columnBytes(zeroPoints, (from * bits) / 32, (count * bits) / 32) }),
      ...(permuted ? { group_index: [allBytes(index)] } : {}),
    };
  },

  decode(source, _from, count, bytes, out) {
    integerValues(integerRows(source, count, bytes), count, source.cols, out);
  },

  grid(source) {
    const { bits, group_size: groupSize, symmetric, permuted } = parametersOf(source);
    return permuted ? undefined : integerGrid(bits, source.cols, groupSize, symmetric, source.parts.scales.dtype);
  },

  unpack(source, _from, count, bytes, args, out) {
    integerParts(integerRows(source, count, bytes), count, source.cols, args, out);
  },
};

function integerRows(source: PackedSource, count: number, bytes: Packed): IntegerRows {
  const { bits, group_size: groupSize, zero_offset: offset } = parametersOf(source);
  const { cols } = source;
  const rowWords = (cols * bits) / 32;
  const words = new Uint32Array(count * rowWords);
  transpose(wordsOf(bytes.codes), rowWords, count, words);
  const groups = source.parts.scales.shape[0];
  const across = scalesOf(source.parts.scales.dtype, bytes.scales, groups * count);
  const scales = new Float32Array(count * groups);
  transpose(new Uint32Array(across.buffer), groups, count, new Uint32Array(scales.buffer));
  return {
    bits,
    codes: new Uint8Array(words.buffer),
    rowBytes: 4 * rowWords,
    scales,
    zeroPoints: bytes.zero_points && zeroPointsOf(bytes.zero_points, bits, offset, groups, count),
    groupSize,
    groupOf: bytes.group_index ? groupIndex(bytes.group_index) : undefined,
  };
}

/** Zero points [count, groups] of words [groups, count / codes a word]. */
function zeroPointsOf(bytes: Uint8Array, bits: 4 | 8, offset: 0 | 1, groups: number, count: number): Uint8Array {
  const perWord = 32 / bits;
  const perGroup = count / perWord;
  const mask = 2 ** bits - 1;
  const zeroPoints = new Uint8Array(count * groups);
  const words = wordsOf(bytes);
  for (let index = 0; index < words.length; index++) {
    // The first version subtracts one from every code of a word at once: a zero borrows from its neighbours.
    const word = (words[index] + repeated(offset, bits)) >>> 0;
    const group = Math.floor(index / perGroup);
    const row = (index % perGroup) * perWord;
    for (let j = 0; j < perWord; j++) zeroPoints[(row + j) * groups + group] = (word >>> (bits * j)) & mask;
  }
  return zeroPoints;
}
