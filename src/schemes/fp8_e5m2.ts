import { f8e5m2ToFloat32, float32ToF8e5m2 } from '../core/dtype.js';
import { scaledFloatScheme } from './arithmetic/scaled_float_scheme.js';

/** fp8_e5m2: E5M2, largest 57344. See `scaledFloatScheme`. */
export default scaledFloatScheme('fp8_e5m2', 'FLOAT8E5M2', 57344, float32ToF8e5m2, f8e5m2ToFloat32);
