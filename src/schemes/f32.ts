import { bitsOf, widen } from '../core/dtype.js';
import { floatScheme } from './arithmetic/float_scheme.js';

/** f32: IEEE single precision, little-endian. */
export default floatScheme(
  'f32',
  'FLOAT',
  32,
  (x, out, index) => {
    const bits = bitsOf(x);
    for (let byte = 0; byte < 4; byte++) out[4 * index + byte] = bits >>> (8 * byte);
    return true;
  },
  (codes, out) => widen('F32', codes, out),
);
