import { bitsOf, f8e8m0ToFloat32 } from '../core/dtype.js';
import { groupScaledFloat } from './arithmetic/group_scaled_float.js';

/**
 * The exponent of a group's greatest magnitude, a mantissa of 1.75 or more counted as the next power of two, which
 * would saturate otherwise: as compressed-tensors rounds it (mxfp_utils.py). OCP's own rule and ggml's only floor it.
 */
const exponentCode = (amax: number): number => (bitsOf(amax) + (1 << 21)) >>> 23;

/**
 * mxfp4: OCP Microscaling FP4. E2M1 codes, a power of two (E8M0) for 32 columns: 2^(exponent of amax - 2), 2 being
 * the exponent of E2M1's largest binade; 2^-127 for a group of zeros, as in ggml. Codes are rounded to nearest, ties to
 * even. `mse` tries the next larger and the next smaller power too. See `groupScaledFloat`.
 */
export default groupScaledFloat('mxfp4', {
  group: 32,
  scaleDtype: 'F8_E8M0',
  global: false,
  globalScale: () => 1,
  scaleOf(amax) {
    const code = Math.max(0, exponentCode(amax) - 2);
    return { code, multiplier: f8e8m0ToFloat32(code) };
  },
  multiplier: (code) => f8e8m0ToFloat32(code),
  candidates: (usual) => [usual + 1, usual - 1].filter((code) => code >= 0 && code <= 254),
  unit: (code, usual) => 4 ** (code - usual),
});
