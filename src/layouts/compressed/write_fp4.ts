import type { DressedTensor } from '../../core/dressing.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import { fusedProjection } from '../packing/fused.js';
import { type CompressedWriter, moduleOf, quantizationArgs } from './writer.js';

const groupOf = (args: QuantizationArgs) => args.group_size as number;

/** What is common to nvfp4-pack-quantized and mxfp4-pack-quantized: the parts of the schemes as they are. */
function fp4Writer(
  format: string,
  scale: DressedTensor['dtype'],
  hasGlobalScale: boolean,
  weights: CompressedWriter['weights'],
): CompressedWriter {
  return {
    format,
    // the schemes have one form each
    check() {},
    quantizes: ({ cols }, args) => cols % groupOf(args) === 0,
    rowQuantum: () => 1,

    parts(rows, cols, args) {
      return {
        weight_packed: { nbytes: (rows * cols) / 2 },
        weight_scale: { nbytes: (rows * cols) / groupOf(args) },
        ...(hasGlobalScale ? { weight_global_scale: { nbytes: 4, fixed: true } } : {}),
      };
    },

    pack(packed, _rows, _cols, _args, out) {
      out.weight_packed.set(packed.codes);
      out.weight_scale.set(packed.scales);
      if (hasGlobalScale) out.weight_global_scale.set(packed.global_scale);
    },

    tensors(matrix, args) {
      const module = moduleOf(matrix);
      const { rows, cols } = matrix;
      const stored = (part: string, dtype: DressedTensor['dtype'], shape: number[]): DressedTensor => ({
        name: `${module}.${part}`,
        dtype,
        shape,
        content: { part },
      });
      return [
        stored('weight_packed', 'U8', [rows, cols / 2]),
        stored('weight_scale', scale, [rows, cols / groupOf(args)]),
        ...(hasGlobalScale ? [stored('weight_global_scale', 'F32', [1])] : []),
      ];
    },

    weights,
    activations: () => null,
  };
}

/** nvfp4-pack-quantized, as the preset NVFP4A16; keys that only newer versions have are left at their defaults. */
export const nvfp4Writer: CompressedWriter = {
  ...fp4Writer('nvfp4-pack-quantized', 'F8_E4M3', true, () =>
    quantizationArgs({ num_bits: 4, strategy: 'tensor_group', group_size: 16 }),
  ),
  sharedScale: ({ name }) => fusedProjection(name),
};

/** mxfp4-pack-quantized, as the preset MXFP4A16: all versions that have it know `scale_dtype`. */
export const mxfp4Writer: CompressedWriter = fp4Writer('mxfp4-pack-quantized', 'U8', false, () =>
  quantizationArgs({ num_bits: 4, strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' }),
);
