import { f8e4m3ToFloat32, float32ToF8e4m3 } from '../core/dtype.js';
import { E2M1_LARGEST, groupScaledFloat } from './arithmetic/group_scaled_float.js';

const f32 = Math.fround;
const LARGEST_SCALE = 448;
const LARGEST_FLOAT = 2 ** 127 * (2 - 2 ** -23);
const E4M3_VALUES = Float32Array.from({ length: 256 }, (_, code) => f8e4m3ToFloat32(code));
/** Stands for 0 where a group's scale rounds to it, as in compressed-tensors (helpers.py, _get_dtype_eps). */
const SCALE_FOR_ZERO = float32ToF8e4m3(0.125);
/** E4M3 codes to either side of the usual scale that `mse` tries: a fifth more or less at most. */
const REACH = 2;

/**
 * nvfp4: E2M1 codes, an E4M3 scale for 16 columns, one float32 for the tensor, as compressed-tensors stores them:
 * global_scale G = 448 * 6 / amax of the tensor (or of all that share it: `amax` of the settings), scale =
 * E4M3(G * (amax of the group / 6)), value = E2M1(code) * (scale / G). Everything in float32, codes and scales to
 * nearest even. A tensor of zeros has G = 1. ModelOpt's weight_scale_2 is 1 / G. See `groupScaledFloat`.
 */
export default groupScaledFloat('nvfp4', {
  group: 16,
  scaleDtype: 'F8_E4M3',
  global: true,
  globalScale: (amax) => (amax === 0 ? 1 : Math.min(f32((LARGEST_SCALE * E2M1_LARGEST) / amax), LARGEST_FLOAT)),
  scaleOf(amax, globalScale) {
    const code = float32ToF8e4m3(f32(globalScale * f32(amax / E2M1_LARGEST))) || SCALE_FOR_ZERO;
    return { code, multiplier: multiplierOf(code, globalScale) };
  },
  multiplier: multiplierOf,
  candidates: (usual) =>
    Array.from({ length: 2 * REACH }, (_, i) => usual + (i < REACH ? REACH - i : REACH - 1 - i)).filter(
      (code) => code >= 1 && code <= 0x7e,
    ),
  unit: (code) => E4M3_VALUES[code] ** 2,
});

function multiplierOf(code: number, globalScale: number): number {
  return f32(E4M3_VALUES[code] / globalScale);
}
