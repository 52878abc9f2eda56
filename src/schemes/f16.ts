import { float32ToF16, widen } from '../core/dtype.js';
import { floatScheme } from './arithmetic/float_scheme.js';

/** f16: IEEE half precision, to nearest even. A finite weight beyond its range (65504) is refused, not made infinite. */
export default floatScheme(
  'f16',
  'FLOAT16',
  16,
  (x, out, index) => {
    const code = float32ToF16(x);
    out[2 * index] = code;
    out[2 * index + 1] = code >>> 8;
    return (code & 0x7c00) !== 0x7c00;
  },
  (codes, out) => widen('F16', codes, out),
);
