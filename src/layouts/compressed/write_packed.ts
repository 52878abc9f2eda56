import { UsageError } from '../../core/errors.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import { flipCodes, spreadZeroPoints } from '../packing/integer-rows.js';
import { int64Bytes } from '../packing/words.js';
import { type CompressedWriter, moduleOf, quantizationArgs } from './writer.js';

const bitsOf = ({ scheme }: QuantizationArgs) => (scheme === 'int4' ? 4 : 8);
const perWord = (args: QuantizationArgs) => 32 / bitsOf(args);
const groupsOf = (cols: number, args: QuantizationArgs) =>
  args.strategy === 'channel' ? 1 : Math.ceil(cols / (args.group_size as number));
const scaleBytes = ({ scale_dtype }: QuantizationArgs) => (scale_dtype === 'F32' ? 4 : 2);

/**
 * pack-quantized: what `packQuantized` reads. Unsigned codes in words along the columns are the bytes of MatMulNBits;
 * zero points go in words along the rows, those past the last row 0.
 */
export const packWriter: CompressedWriter = {
  format: 'pack-quantized',

  check({ strategy, scheme }, flag) {
    if (strategy === 'group' || strategy === 'channel') return;
    throw new UsageError(
      `${flag} ${scheme}: layout compressed_tensors packs integers by group or channel, not by ${strategy}.`,
      '--strategy group.',
    );
  },

  // the format has no incomplete groups and engines no incomplete words
  quantizes: ({ cols }, args) =>
    cols % perWord(args) === 0 && (args.strategy === 'channel' || cols % (args.group_size as number) === 0),

  rowQuantum: (args) => (args.symmetric ? 1 : perWord(args)),

  parts(rows, cols, args) {
    const groups = groupsOf(cols, args);
    return {
      weight_packed: { nbytes: (rows * cols * bitsOf(args)) / 8 },
      weight_scale: { nbytes: rows * groups * scaleBytes(args) },
      ...(args.symmetric ? {} : { weight_zero_point: { nbytes: Math.ceil(rows / perWord(args)) * groups * 4 } }),
    };
  },

  pack(packed, rows, cols, args, out) {
    const bits = bitsOf(args);
    out.weight_packed.set(packed.codes);
    flipCodes(out.weight_packed, bits, args.signed ? 2 ** (bits - 1) : 0);
    out.weight_scale.set(packed.scales);
    if (!out.weight_zero_point) return;
    const groups = groupsOf(cols, args);
    const zeroPoints = spreadZeroPoints(packed.zero_points, rows, groups, bits, args);
    // byte by byte of each word: its lowest holds the first rows
    out.weight_zero_point.fill(0);
    for (let row = 0; row < rows; row++) {
      const within = row % perWord(args);
      const start = 4 * Math.floor(row / perWord(args)) * groups + ((within * bits) >> 3);
      const shift = bits === 4 ? (within & 1) * 4 : 0;
      for (let group = 0; group < groups; group++) {
        out.weight_zero_point[start + 4 * group] |= zeroPoints[row * groups + group] << shift;
      }
    }
  },

  tensors(matrix, args) {
    const module = moduleOf(matrix);
    const { rows, cols } = matrix;
    const groups = groupsOf(cols, args);
    return [
      {
        name: `${module}.weight_packed`,
        dtype: 'I32',
        shape: [rows, cols / perWord(args)],
        content: { part: 'weight_packed' },
      },
      {
        name: `${module}.weight_scale`,
        dtype: args.scale_dtype,
        shape: [rows, groups],
        content: { part: 'weight_scale' },
      },
      { name: `${module}.weight_shape`, dtype: 'I64', shape: [2], content: { bytes: int64Bytes([rows, cols]) } },
      ...(args.symmetric
        ? []
        : [
            {
              name: `${module}.weight_zero_point`,
              dtype: 'I32' as const,
              shape: [Math.ceil(rows / perWord(args)), groups],
              content: { part: 'weight_zero_point' },
            },
          ]),
    ];
  },

  weights: (args) =>
    quantizationArgs({
      num_bits: bitsOf(args),
      type: 'int',
      strategy: args.strategy,
      symmetric: args.symmetric,
      group_size: args.strategy === 'group' ? (args.group_size as number) : null,
    }),

  activations: () => null,
};
