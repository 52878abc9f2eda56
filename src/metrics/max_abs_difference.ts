import { ErrorSums } from './math/error-sums.js';
import { positionMetric } from './math/positions.js';
import { maximum } from './math/summary.js';

/** Greatest absolute difference of a logit. */
export default positionMetric({
  unit: 'logits',
  better: 'lower',
  over: 'logits',
  position: (reference, actual) => new ErrorSums().add(reference, actual).greatest,
  summary: maximum,
});
