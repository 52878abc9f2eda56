import { ErrorSums } from './math/error-sums.js';
import { positionMetric } from './math/positions.js';
import { mean } from './math/summary.js';

/** Mean over positions of the cosine between the two rows of logits. */
export default positionMetric({
  unit: 'cosine',
  better: 'higher',
  over: 'logits',
  position: (reference, actual) => new ErrorSums().add(reference, actual).cosine,
  summary: mean,
});
