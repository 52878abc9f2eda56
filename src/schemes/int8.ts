import { halfQuadraticGrid } from './arithmetic/half_quadratic.js';
import { integerScheme, roundToNearestGrid } from './arithmetic/integer_scheme.js';
import { leastSquaresGrid, weightedGrid } from './arithmetic/scale_search.js';

/**
 * int8: 8-bit integer codes, one scale (and one zero point) per group of a row; bytes as MatMulNBits, rounding as
 * ONNX Runtime's own quantizer. See `integerScheme`.
 */
export default integerScheme('int8', 8, {
  rtn: roundToNearestGrid,
  mse: leastSquaresGrid,
  kquant: weightedGrid,
  hqq: halfQuadraticGrid,
});
