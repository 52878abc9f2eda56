import { float32ToBf16, widen } from '../core/dtype.js';
import { floatScheme } from './arithmetic/float_scheme.js';

/** bf16: the upper half of a float32, to nearest even. */
export default floatScheme(
  'bf16',
  'BFLOAT16',
  16,
  (x, out, index) => {
    const code = float32ToBf16(x);
    out[2 * index] = code;
    out[2 * index + 1] = code >>> 8;
    return (code & 0x7f80) !== 0x7f80;
  },
  (codes, out) => widen('BF16', codes, out),
);
