import { f8e4m3ToFloat32, f8e8m0ToFloat32 } from '../../core/dtype.js';
import type { Packed, PackedSource, TensorRef } from '../../core/types.js';
import { scalesOf } from '../packing/integer-rows.js';
import { allBytes, packedMatrix, partOf, refuseShape, rowBytes } from '../packing/stored-tensors.js';
import type { CompressedForm } from './form.js';

/** Values of E2M1 by code: a sign, two bits of exponent, one of mantissa. */
export const E2M1 = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6);
const E8M0 = Float32Array.from({ length: 256 }, (_, code) => f8e8m0ToFloat32(code));
const E4M3 = Float32Array.from({ length: 256 }, (_, code) => f8e4m3ToFloat32(code));

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

  decode(source, _from, count, bytes, out) {
    const { cols } = source;
    const group = source.parameters.group_size as number;
    const groups = source.parts.scales.shape[1];
    const table = source.parts.scales.dtype === 'F8_E4M3' ? E4M3 : E8M0;
    const divisor = globalScaleOf(bytes);
    for (let row = 0; row < count; row++) {
      for (let col = 0; col < cols; col++) {
        const i = row * cols + col;
        const scale = Math.fround(table[bytes.scales[row * groups + Math.floor(col / group)]] / divisor);
        out[i] = E2M1[(bytes.codes[i >> 1] >> ((i & 1) * 4)) & 15] * scale;
      }
    }
  },

  grid: gridOf,
};

const globalScaleOf = (bytes: Packed): number => (bytes.global_scale ? scalesOf('F32', bytes.global_scale, 1)[0] : 1);

function gridOf(_source: PackedSource): undefined {
  return undefined;
}
