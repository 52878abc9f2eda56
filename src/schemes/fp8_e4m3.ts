import { f8e4m3ToFloat32, float32ToF8e4m3 } from '../core/dtype.js';
import { scaledFloatScheme } from './arithmetic/scaled_float_scheme.js';

/** fp8_e4m3: E4M3FN, largest 448, no infinity. See `scaledFloatScheme`. */
export default scaledFloatScheme('fp8_e4m3', 'FLOAT8E4M3FN', 448, float32ToF8e4m3, f8e4m3ToFloat32);
