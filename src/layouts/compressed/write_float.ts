import { UsageError } from '../../core/errors.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import { type CompressedWriter, moduleOf, quantizationArgs } from './writer.js';

/** Shape of the scales of a matrix. */
function scaleShape(rows: number, cols: number, { strategy, block_structure: block }: QuantizationArgs): number[] {
  if (strategy === 'tensor') return [1];
  if (strategy === 'channel') return [rows, 1];
  const [height, width] = block as [number, number];
  return [Math.ceil(rows / height), Math.ceil(cols / width)];
}

const scaleBytes = ({ scale_dtype }: QuantizationArgs) => (scale_dtype === 'F32' ? 4 : 2);

/** float-quantized: the parts of fp8_e4m3 as they are; engines quantize activations as they come. */
export const floatWriter: CompressedWriter = {
  format: 'float-quantized',

  check({ strategy, scale_dtype, scheme }, flag) {
    if (strategy === 'group') {
      throw new UsageError(
        `${flag} ${scheme}: layout compressed_tensors has scales of FP8 by tensor, channel or block, not by group.`,
        '--strategy channel.',
      );
    }
    if (scale_dtype === 'F8_E8M0' || scale_dtype === 'F8_E4M3') {
      throw new UsageError(`${flag} ${scheme}: layout compressed_tensors stores float scales.`, '--scales f32.');
    }
  },

  quantizes: () => true,
  rowQuantum: ({ strategy, block_structure: block }) => (strategy === 'block' ? (block as number[])[0] : 1),

  parts(rows, cols, args) {
    const scales = scaleShape(rows, cols, args).reduce((product, each) => product * each, 1) * scaleBytes(args);
    return {
      weight: { nbytes: rows * cols },
      weight_scale: args.strategy === 'tensor' ? { nbytes: scales, fixed: true } : { nbytes: scales },
    };
  },

  pack(packed, _rows, _cols, _args, out) {
    out.weight.set(packed.codes);
    out.weight_scale.set(packed.scales);
  },

  tensors(matrix, args) {
    const { rows, cols } = matrix;
    return [
      { name: matrix.name, dtype: 'F8_E4M3', shape: [rows, cols], content: { part: 'weight' } },
      {
        name: `${moduleOf(matrix)}.weight_scale`,
        dtype: args.scale_dtype,
        shape: scaleShape(rows, cols, args),
        content: { part: 'weight_scale' },
      },
    ];
  },

  weights: ({ strategy, block_structure: block }) =>
    quantizationArgs({ strategy, block_structure: strategy === 'block' ? (block as [number, number]) : null }),

  activations: ({ strategy }) =>
    strategy === 'block'
      ? quantizationArgs({ strategy: 'group', group_size: 128, dynamic: true })
      : quantizationArgs({ strategy: 'token', dynamic: true }),
};
