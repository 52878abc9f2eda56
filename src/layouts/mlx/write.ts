import type { DressedCheckpoint, DressedTensor, Dressing } from '../../core/dressing.js';
import type { Dtype } from '../../core/dtype.js';
import { UsageError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import int4 from '../../schemes/int4.js';
import { scalesOf, spreadZeroPoints, storeScales } from '../packing/integer-rows.js';

const GROUP_SIZES = [32, 64, 128];
const SCHEMES = ['int4', 'int8', 'mxfp4'];

const bitsOf = ({ scheme }: QuantizationArgs): 4 | 8 => (scheme === 'int8' ? 8 : 4);
const isAffine = ({ scheme }: QuantizationArgs) => scheme !== 'mxfp4';
const groupOf = (args: QuantizationArgs) => args.group_size as number;
const itemBytes = ({ scale_dtype }: QuantizationArgs) => (scale_dtype === 'F32' ? 4 : 2);
const moduleOf = (name: string) => name.replace(/\.weight$/, '');

/**
 * The writing side: codes as the schemes have them, and for integers a bias of -scale * zero point for each group, in
 * the type of the scales. That is exact for symmetric weights and for float32 scales; else the bias is rounded.
 */
export const mlxDressing: Dressing = {
  defaults: {
    scheme: 'int4',
    strategy: 'group',
    group_size: 64,
    symmetric: false,
    scale_dtype: 'BF16',
    algorithm: int4.defaults.algorithm,
  },

  check(args, flag) {
    const { scheme, strategy, group_size: group } = args;
    if (!SCHEMES.includes(scheme)) {
      throw new UsageError(`${flag} ${scheme}: layout mlx writes ${SCHEMES.join(', ')}.`, `${flag} int4.`);
    }
    if (strategy !== 'group' || (isAffine(args) && !GROUP_SIZES.includes(group ?? 0))) {
      throw new UsageError(
        `${flag} ${scheme}: layout mlx has groups of ${GROUP_SIZES.join(', ')} columns, not ${strategy}${group ? ` ${group}` : ''}.`,
        '--group-size 64.',
      );
    }
  },

  keeps: (args) => !isAffine(args) || args.symmetric || args.scale_dtype === 'F32',

  // mlx-lm's convert takes embeddings and head too; routers that it reads as floats stay so
  quantizes: ({ kind = '', cols }, args) =>
    ['embedding', 'lm_head', 'linear'].includes(kind) && cols % groupOf(args) === 0,

  rowQuantum: () => 1,

  parts(rows, cols, args) {
    const groups = rows * (cols / groupOf(args));
    const floats = { nbytes: groups * itemBytes(args) };
    return {
      weight: { nbytes: (rows * cols * bitsOf(args)) / 8 },
      ...(isAffine(args) ? { scales: floats, biases: floats } : { scales: { nbytes: groups } }),
    };
  },

  pack(packed, rows, cols, args, out) {
    out.weight.set(packed.codes);
    out.scales.set(packed.scales);
    if (!isAffine(args)) return;
    const bits = bitsOf(args);
    const groups = cols / groupOf(args);
    const biases = scalesOf(args.scale_dtype as 'F32' | 'F16' | 'BF16', packed.scales, rows * groups);
    if (packed.zero_points) {
      const zeroPoints = spreadZeroPoints(packed.zero_points, rows, groups, bits, args);
      for (let i = 0; i < biases.length; i++) biases[i] *= -zeroPoints[i];
    } else for (let i = 0; i < biases.length; i++) biases[i] *= -(2 ** (bits - 1));
    storeScales(biases, args.scale_dtype, out.biases);
  },

  tensors({ name, rows, cols }, args) {
    const module = moduleOf(name);
    const shape = [rows, cols / groupOf(args)];
    const dtype: Dtype = isAffine(args) ? args.scale_dtype : 'U8';
    const beside = (part: string): DressedTensor => ({ name: `${module}.${part}`, dtype, shape, content: { part } });
    return [
      { name, dtype: 'U32', shape: [rows, (cols * bitsOf(args)) / 32], content: { part: 'weight' } },
      beside('scales'),
      ...(isAffine(args) ? [beside('biases')] : []),
    ];
  },

  config({ args, exceptions }: DressedCheckpoint): JsonObject {
    const quantization: JsonObject = settings(args);
    for (const { matrix, args: other } of exceptions) {
      const own = settings(other);
      if (JSON.stringify(own) !== JSON.stringify(settings(args))) quantization[moduleOf(matrix.name)] = own;
    }
    return { quantization, quantization_config: quantization };
  },

  metadata: { format: 'mlx' },
};

const settings = (args: QuantizationArgs): JsonObject => ({
  group_size: groupOf(args),
  bits: bitsOf(args),
  mode: isAffine(args) ? 'affine' : 'mxfp4',
});
