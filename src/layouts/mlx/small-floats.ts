import type { TensorRef } from '../../core/checkpoint.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import mxfp4 from '../../schemes/mxfp4.js';
import nvfp4 from '../../schemes/nvfp4.js';
import { E4M3_TABLE, E8M0_TABLE, e2m1Values } from '../packing/e2m1.js';
import { packedMatrix, partOf, refuseShape, rowBytes } from '../packing/stored-tensors.js';
import type { MlxForm } from './form.js';
import type { MlxMode } from './modes.js';

interface SmallFloat {
  bits: 4 | 8;
  group: number;
  scales: Float32Array;
  /** The scheme with the same grid. */
  grid?: QuantizationArgs;
}

const FORMATS: Record<Exclude<MlxMode, 'affine'>, SmallFloat> = {
  mxfp4: { bits: 4, group: 32, scales: E8M0_TABLE, grid: mxfp4.defaults },
  // without a scale of the whole tensor: 1
  nvfp4: { bits: 4, group: 16, scales: E4M3_TABLE, grid: nvfp4.defaults },
  mxfp8: { bits: 8, group: 32, scales: E8M0_TABLE },
};

/**
 * mxfp4, nvfp4 and mxfp8: E2M1 or E4M3 codes in U32 words along the columns, lowest first, and a byte for the scale of
 * a group, E8M0 or E4M3, as `scales` U8 [rows, groups] (fp_quantize in mlx/ops.cpp).
 */
export function smallFloat(mode: Exclude<MlxMode, 'affine'>): MlxForm {
  const { bits, group, scales: table, grid } = FORMATS[mode];
  return {
    matrix(module, tensors) {
      const name = `${module}.weight`;
      const codes = partOf(name, tensors, name, ['U32']);
      if (codes.shape.length !== 2) refuseShape(codes, name, 'two dimensions');
      const [rows, words] = codes.shape;
      const cols = (32 * words) / bits;
      const scales = partOf(name, tensors, `${module}.scales`, ['U8'], [rows, cols / group]);
      return packedMatrix('mlx', name, [rows, cols], { codes, scales }, { form: mode });
    },

    needs({ parts }, from, count) {
      const rows = (part: TensorRef) => [rowBytes(part, from, count)];
      return { codes: rows(parts.codes), scales: rows(parts.scales) };
    },

    decode({ cols }, _from, count, { codes, scales }, out) {
      if (bits === 4) {
        e2m1Values({ codes, scales, table, divisor: 1, group }, count, cols, out);
        return;
      }
      for (let i = 0; i < count * cols; i++) out[i] = E4M3_TABLE[codes[i]] * table[scales[Math.floor(i / group)]];
    },

    grid: () => grid,

    unpack(_source, _from, _count, { codes, scales }, _args, out) {
      out.codes.set(codes);
      out.scales.set(scales);
      out.global_scale?.set(new Uint8Array(Float32Array.of(1).buffer));
    },
  };
}
