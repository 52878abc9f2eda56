import type { TensorRef } from '../../core/checkpoint.js';
import type { Layout, StoredValues } from '../../core/layout.js';
import type { Packed } from '../../core/scheme.js';
import type { LogicalTensor, PackedSource } from '../../core/weights.js';
import { type IntegerRows, integerGrid, integerParts, integerValues, scalesOf } from '../packing/integer-rows.js';
import { columnsToRows } from '../packing/nibbles.js';
import { columnBytes, packedMatrix, partOf, refuseShape, type Tensors } from '../packing/stored-tensors.js';
import { segmentedQuantum, transpose, wordsOf } from '../packing/words.js';
import { AWQ_ORDER } from './order.js';

/** A zero point of 8 for each of eight outputs: symmetric weights. */
const MIDDLES = 0x88888888;

interface AwqParameters {
  group_size: number;
  symmetric: boolean;
}

const parametersOf = (source: PackedSource) => source.parameters as unknown as AwqParameters;

/**
 * A module of AWQ in GEMM order: qweight I32 [K, N / 8], a word of eight outputs of one input in AWQ_ORDER; qzeros I32
 * [K / g, N / 8] likewise, zero points as they are; scales [K / g, N] (AutoAWQ's awq/modules/linear/gemm.py).
 */
export function awqMatrix(module: string, tensors: Tensors, values: StoredValues): LogicalTensor {
  const name = `${module}.weight`;
  const codes = partOf(name, tensors, `${module}.qweight`, ['I32']);
  if (codes.shape.length !== 2) refuseShape(codes, name, 'two dimensions');
  const [cols, rowWords] = codes.shape;
  const rows = 8 * rowWords;
  const scales = partOf(name, tensors, `${module}.scales`, ['F16', 'BF16', 'F32']);
  const [groups] = scales.shape;
  if (scales.shape.length !== 2 || scales.shape[1] !== rows || cols % groups !== 0) {
    refuseShape(scales, name, `[whole groups of ${cols} inputs, ${rows}]`);
  }
  if (cols % 8 !== 0) refuseShape(codes, name, `[a multiple of 8, ${rowWords}]`);
  const zeroPoints = partOf(name, tensors, `${module}.qzeros`, ['I32'], [groups, rowWords]);
  const parameters: AwqParameters = {
    group_size: cols / groups,
    symmetric: wordsOf(values.read(zeroPoints)).every((word) => word === MIDDLES),
  };
  const parts: Record<string, TensorRef> = { codes, scales, zero_points: zeroPoints };
  return packedMatrix('awq', name, [rows, cols], parts, { ...parameters });
}

export const awqRows: Pick<Layout, 'rowQuantum' | 'needs' | 'decode' | 'grid' | 'unpack'> = {
  rowQuantum: ({ cols }) => segmentedQuantum(cols),

  needs({ parts }, from, count) {
    return {
      codes: columnBytes(parts.codes, from / 8, count / 8),
      scales: columnBytes(parts.scales, from, count),
      zero_points: columnBytes(parts.zero_points, from / 8, count / 8),
    };
  },

  decode(source, _from, count, bytes, out) {
    integerValues(integerRows(source, count, bytes), count, source.cols, out);
  },

  grid(source) {
    const { group_size: groupSize, symmetric } = parametersOf(source);
    return integerGrid(4, source.cols, groupSize, symmetric, source.parts.scales.dtype);
  },

  unpack(source, _from, count, bytes, args, out) {
    integerParts(integerRows(source, count, bytes), count, source.cols, args, out);
  },
};

function integerRows(source: PackedSource, count: number, bytes: Packed): IntegerRows {
  const { group_size: groupSize, symmetric } = parametersOf(source);
  const { cols } = source;
  const groups = cols / groupSize;
  const rowWords = cols / 8;
  const words = new Uint32Array(count * rowWords);
  const stored = { words: wordsOf(bytes.codes), stride: count / 8 };
  columnsToRows(stored, count / 8, rowWords, { words, stride: rowWords }, AWQ_ORDER);
  const across = scalesOf(source.parts.scales.dtype, bytes.scales, groups * count);
  const scales = new Float32Array(count * groups);
  transpose(new Uint32Array(across.buffer), groups, count, new Uint32Array(scales.buffer));
  return {
    bits: 4,
    codes: new Uint8Array(words.buffer),
    rowBytes: 4 * rowWords,
    scales,
    zeroPoints: symmetric ? undefined : zeroPointsOf(bytes.zero_points, groups, count),
    groupSize,
  };
}

/** Zero points [count, groups] of words [groups, count / 8]. */
function zeroPointsOf(bytes: Uint8Array, groups: number, count: number): Uint8Array {
  const zeroPoints = new Uint8Array(count * groups);
  const words = wordsOf(bytes);
  for (const [index, word] of words.entries()) {
    const group = Math.floor(index / (count / 8));
    const row = (index % (count / 8)) * 8;
    for (let i = 0; i < 8; i++) zeroPoints[(row + AWQ_ORDER[i]) * groups + group] = (word >>> (4 * i)) & 15;
  }
  return zeroPoints;
}
