import type { TensorRef } from '../../core/checkpoint.js';
import type { Packed } from '../../core/scheme.js';
import mxfp4 from '../../schemes/mxfp4.js';
import nvfp4 from '../../schemes/nvfp4.js';
import { E4M3_TABLE, E8M0_TABLE, e2m1Values } from '../packing/e2m1.js';
import { scalesOf } from '../packing/integer-rows.js';
import { allBytes, packedMatrix, partOf, refuseShape, rowBytes } from '../packing/stored-tensors.js';
import type { CompressedForm } from './form.js';

/**
 * nvfp4-pack-quantized and mxfp4-pack-quantized: E2M1 codes, even columns in low nibbles. NVFP4 has an E4M3 scale for
 * 16 columns and divides by `weight_global_scale`; MXFP4 has an exponent for 32 (nvfp4/base.py and mxfp4/base.py of
 * compressed-tensors).
 */
export const fp4Packed: CompressedForm = {
  matrix(module, tensors) {
    const name = `${module}.weight`;
    const codes = partOf(name, tensors, `${module}.weight_packed`, ['U8']);
    if (codes.shape.length !== 2) refuseShape(codes, name, 'two dimensions');
    const [rows, half] = codes.shape;
    const scales = partOf(name, tensors, `${module}.weight_scale`, ['F8_E4M3', 'U8', 'F8_E8M0']);
    const group = scales.dtype === 'F8_E4M3' ? 16 : 32;
    const needed = [rows, Math.ceil((2 * half) / group)];
    if (String(scales.shape) !== String(needed)) refuseShape(scales, name, `[${needed.join(', ')}]`);
    const parts: Record<string, TensorRef> = { codes, scales };
    if (group === 16) {
      parts.global_scale = partOf(name, tensors, `${module}.weight_global_scale`, ['F32']);
      if (parts.global_scale.nbytes !== 4) refuseShape(parts.global_scale, name, '[1]');
    }
    return packedMatrix('compressed_tensors', name, [rows, 2 * half], parts, { form: 'fp4', group_size: group });
  },

  rowQuantum: () => 1,

  needs(source, from, count) {
    const { codes, scales, global_scale: globalScale } = source.parts;
    return {
      codes: [rowBytes(codes, from, count)],
      scales: [rowBytes(scales, from, count)],
      ...(globalScale ? { global_scale: [allBytes(globalScale)] } : {}),
    };
  },

  decode({ cols, parts, parameters }, _from, count, bytes, out) {
    const table = parts.scales.dtype === 'F8_E4M3' ? E4M3_TABLE : E8M0_TABLE;
    const group = parameters.group_size as number;
    e2m1Values({ ...bytesOf(bytes), table, divisor: globalScaleOf(bytes), group }, count, cols, out);
  },

  grid: ({ parts }) => (parts.scales.dtype === 'F8_E4M3' ? nvfp4.defaults : mxfp4.defaults),

  unpack(_source, _from, _count, bytes, _args, out) {
    out.codes.set(bytes.codes);
    out.scales.set(bytes.scales);
    if (bytes.global_scale) out.global_scale.set(bytes.global_scale);
  },
};

const bytesOf = ({ codes, scales }: Packed) => ({ codes, scales });
const globalScaleOf = (bytes: Packed): number => (bytes.global_scale ? scalesOf('F32', bytes.global_scale, 1)[0] : 1);
