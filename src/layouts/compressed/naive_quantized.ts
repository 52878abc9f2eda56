import type { FileRange, TensorRef } from '../../core/checkpoint.js';
import type { Dtype } from '../../core/dtype.js';
import { f8e4m3ToFloat32 } from '../../core/dtype.js';
import type { Packed, QuantizationArgs } from '../../core/scheme.js';
import type { PackedSource } from '../../core/weights.js';
import { type IntegerRows, integerGrid, integerParts, integerValues, scalesOf } from '../packing/integer-rows.js';
import { allBytes, packedMatrix, partOf, refuseShape, rowBytes } from '../packing/stored-tensors.js';
import type { CompressedForm } from './form.js';

const E4M3 = Float32Array.from({ length: 256 }, (_, code) => f8e4m3ToFloat32(code));
const SCALES = ['F32', 'BF16', 'F16'] as const;
/** Powers of two, which compressed-tensors stores as bytes. */
const EXPONENTS = ['U8', 'F8_E8M0'] as const;
const MX_GROUP = 32;

const scaleDtype = ({ dtype }: TensorRef): Dtype => (dtype === 'U8' ? 'F8_E8M0' : dtype);
const isExponents = ({ dtype }: TensorRef) => EXPONENTS.some((each) => each === dtype);

const blockOf = (source: PackedSource) => source.parameters.block_structure as [number, number];

/**
 * float-quantized, int-quantized and naive-quantized: `weight` in F8_E4M3 or I8 of its own shape, `weight_scale` [1]
 * for the tensor, [rows, 1] for each row, or one for each block (naive_quantized/base.py of compressed-tensors);
 * I8 may have `weight_zero_point`, of the scales' shape. The value is (code - zero point) * scale.
 */
export const naiveQuantized: CompressedForm = {
  matrix(module, tensors, _values, sizes) {
    const name = `${module}.weight`;
    const codes = partOf(name, tensors, name, ['F8_E4M3', 'I8']);
    if (codes.shape.length !== 2) refuseShape(codes, name, 'two dimensions');
    const [rows, cols] = codes.shape;
    const isFloat = codes.dtype === 'F8_E4M3';
    const scales = partOf(name, tensors, `${module}.weight_scale`, isFloat ? [...SCALES, ...EXPONENTS] : SCALES);
    const found = String(scales.shape);
    const perBlock = ([height, width]: number[]) => [Math.ceil(rows / height), Math.ceil(cols / width)];
    const groups = sizes.groups.map((size): [number, number] => [1, size]);
    const candidates: [number, number][] = isExponents(scales)
      ? [[1, MX_GROUP]]
      : [...sizes.blocks, ...groups, [1, cols], [rows, cols]];
    const block = candidates.find((each) => String(perBlock(each)) === found);
    const one = found === '' || found === '1' ? ([rows, cols] as [number, number]) : undefined;
    const perRow = found === String([rows]) ? ([1, cols] as [number, number]) : undefined;
    const structure = one ?? block ?? perRow;
    if (!structure)
      refuseShape(scales, name, `[1], [${rows}, 1] or a scale for each group or block that config.json names`);
    const parts: Record<string, TensorRef> = { codes, scales };
    if ((sizes.isAsymmetric && !isFloat) || tensors.has(`${module}.weight_zero_point`)) {
      parts.zero_points = partOf(name, tensors, `${module}.weight_zero_point`, ['I8', 'F8_E4M3'], scales.shape);
    }
    if (!isFloat && structure[1] !== cols && structure[0] > 1) refuseShape(scales, name, `[1] or [${rows}, groups]`);
    return packedMatrix('compressed_tensors', name, [rows, cols], parts, {
      form: 'naive-quantized',
      block_structure: structure,
    });
  },

  rowQuantum: () => 1,

  needs(source, from, count) {
    const { codes, scales, zero_points: zeroPoints } = source.parts;
    return {
      codes: [rowBytes(codes, from, count)],
      scales: [scaleBytes(source, scales, from, count)],
      ...(zeroPoints && codes.dtype === 'I8' ? { zero_points: [scaleBytes(source, zeroPoints, from, count)] } : {}),
    };
  },

  decode(source, from, count, bytes, out) {
    const { cols } = source;
    if (source.parts.codes.dtype === 'I8') {
      integerValues(integerRows(source, count, bytes), count, cols, out);
      return;
    }
    const [height, width] = blockOf(source);
    const across = Math.ceil(cols / width);
    const first = Math.floor(from / height);
    const scales = scalesOf(
      scaleDtype(source.parts.scales),
      bytes.scales,
      (Math.ceil((from + count) / height) - first) * across,
    );
    for (let row = 0; row < count; row++) {
      const scaleRow = (Math.floor((from + row) / height) - first) * across;
      for (let block = 0; block < across; block++) {
        const end = row * cols + Math.min(cols, (block + 1) * width);
        for (let i = row * cols + block * width; i < end; i++) out[i] = E4M3[bytes.codes[i]] * scales[scaleRow + block];
      }
    }
  },

  grid(source) {
    const { codes, scales, zero_points: zeroPoints } = source.parts;
    const { rows, cols } = source;
    const [height, width] = blockOf(source);
    const isChannel = width === cols && (height === 1 || rows === 1);
    if (codes.dtype === 'I8') {
      return height === 1 || isChannel ? integerGrid(8, cols, width, !zeroPoints, scales.dtype) : undefined;
    }
    // no scheme has FP8 in groups
    if (height === 1 && width !== cols) return undefined;
    const grid: QuantizationArgs = {
      scheme: 'fp8_e4m3',
      strategy: isChannel ? 'channel' : width === cols && height === rows ? 'tensor' : 'block',
      symmetric: true,
      scale_dtype: 'F32',
      algorithm: 'rtn',
    };
    return grid.strategy === 'block' ? { ...grid, block_structure: [height, width] } : grid;
  },

  unpack(source, _from, count, bytes, args, out) {
    if (source.parts.codes.dtype === 'I8') {
      integerParts(integerRows(source, count, bytes), count, source.cols, args, out);
      return;
    }
    out.codes.set(bytes.codes);
    const scales = scalesOf(source.parts.scales.dtype, bytes.scales, out.scales.byteLength / 4);
    out.scales.set(new Uint8Array(scales.buffer));
  },
};

/** Scales of the blocks that rows [from, from + count) touch. */
function scaleBytes(source: PackedSource, part: TensorRef, from: number, count: number): FileRange {
  const [height] = blockOf(source);
  return height >= source.rows ? allBytes(part) : rowBytes(part, from, count, height);
}

function integerRows(source: PackedSource, count: number, bytes: Packed): IntegerRows {
  const [height, width] = blockOf(source);
  const groups = Math.ceil(source.cols / width);
  const read = scalesOf(source.parts.scales.dtype, bytes.scales, height > 1 ? 1 : count * groups);
  const unsigned = (codes: Uint8Array) => codes.map((code) => code ^ 0x80);
  const zeroPoints = bytes.zero_points && unsigned(bytes.zero_points);
  return {
    bits: 8,
    codes: unsigned(bytes.codes),
    rowBytes: source.cols,
    scales: height > 1 ? new Float32Array(count).fill(read[0]) : read,
    zeroPoints: zeroPoints && height > 1 ? new Uint8Array(count).fill(zeroPoints[0]) : zeroPoints,
    groupSize: width,
  };
}
