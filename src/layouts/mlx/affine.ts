import type { TensorRef } from '../../core/checkpoint.js';
import type { StoredValues } from '../../core/layout.js';
import type { Packed } from '../../core/scheme.js';
import type { PackedSource } from '../../core/weights.js';
import { type IntegerRows, integerGrid, integerParts, scalesOf } from '../packing/integer-rows.js';
import { packedMatrix, partOf, refuseShape, rowBytes } from '../packing/stored-tensors.js';
import type { MlxForm } from './form.js';

const FLOATS = ['F16', 'BF16', 'F32'] as const;
const BITS = [2, 3, 4, 5, 6, 8];

interface AffineParameters {
  bits: number;
  group_size: number;
  /** Whether each bias is -scale times one whole zero point: only then do codes stand on a grid of integers. */
  zero_points: 'middle' | 'whole' | 'none';
}

const parametersOf = (source: PackedSource) => source.parameters as unknown as AffineParameters;
const isWholeByte = (bits: number): bits is 4 | 8 => bits === 4 || bits === 8;

/**
 * affine: codes in a stream of bits along the columns, lowest first, as U32 [rows, cols * bits / 32]; `scales` and
 * `biases` [rows, groups] in the type of the model. The value is code * scale + bias (mlx/backend/cpu/quantized.cpp).
 */
export const affine: MlxForm = {
  matrix(module, tensors, values, said) {
    const name = `${module}.weight`;
    const codes = partOf(name, tensors, name, ['U32']);
    const scales = partOf(name, tensors, `${module}.scales`, FLOATS);
    const biases = partOf(name, tensors, `${module}.biases`, [scales.dtype], scales.shape);
    if (codes.shape.length !== 2) refuseShape(codes, name, 'two dimensions');
    const [rows, words] = codes.shape;
    const groups = scales.shape[1];
    // the size of groups is the same for most checkpoints' modules, their bits are not
    const bits = said.group_size && groups ? (32 * words) / (groups * said.group_size) : (said.bits ?? 4);
    const cols = (32 * words) / bits;
    if (!BITS.includes(bits) || !Number.isInteger(cols)) {
      refuseShape(
        codes,
        name,
        `[rows, columns * bits / 32] with ${BITS.join(', ')} bits, and groups as config.json says`,
      );
    }
    if (scales.shape.length !== 2 || scales.shape[0] !== rows || cols % groups !== 0) {
      refuseShape(scales, name, `[${rows}, groups of a row of ${cols}]`);
    }
    const parameters: AffineParameters = {
      bits,
      group_size: cols / groups,
      zero_points: isWholeByte(bits) ? zeroPointsIn(scales, biases, bits, values) : 'none',
    };
    return packedMatrix('mlx', name, [rows, cols], { codes, scales, biases }, { form: 'affine', ...parameters });
  },

  needs({ parts }, from, count) {
    const rows = (part: TensorRef) => [rowBytes(part, from, count)];
    return { codes: rows(parts.codes), scales: rows(parts.scales), biases: rows(parts.biases) };
  },

  decode(source, _from, count, bytes, out) {
    const { bits, group_size: groupSize } = parametersOf(source);
    const { cols } = source;
    const { dtype } = source.parts.scales;
    const groups = count * (cols / groupSize);
    const scales = scalesOf(dtype, bytes.scales, groups);
    const biases = scalesOf(dtype, bytes.biases, groups);
    for (let group = 0, i = 0; group < groups; group++) {
      const scale = scales[group];
      const bias = biases[group];
      const end = i + groupSize;
      if (bits === 4) {
        for (let at = i >> 1; i < end; at++) {
          // in float64 and rounded once, so that biases of whole zero points give the values of that grid
          out[i++] = (bytes.codes[at] & 15) * scale + bias;
          out[i++] = (bytes.codes[at] >> 4) * scale + bias;
        }
      } else {
        for (; i < end; i++) out[i] = streamCode(bytes.codes, i, bits) * scale + bias;
      }
    }
  },

  grid(source) {
    const { bits, group_size: groupSize, zero_points: zeroPoints } = parametersOf(source);
    if (!isWholeByte(bits) || zeroPoints === 'none') return undefined;
    return integerGrid(bits, source.cols, groupSize, zeroPoints === 'middle', source.parts.scales.dtype);
  },

  unpack(source, _from, count, bytes, args, out) {
    integerParts(integerRows(source, count, bytes), count, source.cols, args, out);
  },
};

/** Code `index` of a stream of codes of `bits`. */
function streamCode(bytes: Uint8Array, index: number, bits: number): number {
  const bit = index * bits;
  const at = Math.floor(bit / 8);
  return (((bytes[at] | ((bytes[at + 1] ?? 0) << 8)) >>> (bit % 8)) & ((1 << bits) - 1)) >>> 0;
}

function integerRows(source: PackedSource, count: number, bytes: Packed): IntegerRows {
  const { bits, group_size: groupSize, zero_points: zeroPoints } = parametersOf(source);
  const groups = count * (source.cols / groupSize);
  const { dtype } = source.parts.scales;
  const scales = scalesOf(dtype, bytes.scales, groups);
  const biases = scalesOf(dtype, bytes.biases, groups);
  return {
    bits: bits as 4 | 8,
    codes: bytes.codes,
    rowBytes: (source.cols * bits) / 8,
    scales,
    zeroPoints:
      zeroPoints === 'middle'
        ? undefined
        : Uint8Array.from(scales, (scale, i) => zeroPointOf(scale, biases[i], bits as 4 | 8) as number),
    groupSize,
  };
}

/** The zero point z for which -scale * z is exactly the bias; undefined where there is none. */
function zeroPointOf(scale: number, bias: number, bits: 4 | 8): number | undefined {
  if (scale === 0) return bias === 0 ? 2 ** (bits - 1) : undefined;
  const zeroPoint = Math.round(-bias / scale);
  // a float32 times a whole number of 8 bits is exact in float64
  return zeroPoint >= 0 && zeroPoint < 2 ** bits && zeroPoint * scale === -bias ? zeroPoint : undefined;
}

/** Groups looked at in one step: most checkpoints show in the first that biases are none of zero points. */
const SAMPLE_GROUPS = 1 << 14;

function zeroPointsIn(
  scales: TensorRef,
  biases: TensorRef,
  bits: 4 | 8,
  values: StoredValues,
): AffineParameters['zero_points'] {
  const count = scales.shape.reduce((product, each) => product * each, 1);
  const itemBytes = scales.nbytes / count;
  const middle = 2 ** (bits - 1);
  let isMiddle = true;
  for (let from = 0; from < count; from += SAMPLE_GROUPS) {
    const taken = Math.min(SAMPLE_GROUPS, count - from);
    const read = (ref: TensorRef) => {
      const piece = { ...ref, offset: ref.offset + from * itemBytes, nbytes: taken * itemBytes };
      return scalesOf(ref.dtype, values.read(piece), taken);
    };
    const [scale, bias] = [read(scales), read(biases)];
    for (let i = 0; i < taken; i++) {
      const zeroPoint = zeroPointOf(scale[i], bias[i], bits);
      if (zeroPoint === undefined) return 'none';
      if (zeroPoint !== middle) isMiddle = false;
    }
  }
  return isMiddle ? 'middle' : 'whole';
}
