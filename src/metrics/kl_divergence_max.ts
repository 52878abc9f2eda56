import { klDivergence } from './math/divergence.js';
import { positionMetric } from './math/positions.js';
import { maximum } from './math/summary.js';

/** Greatest KL(reference || actual) of a position. */
export default positionMetric({
  unit: 'nats',
  better: 'lower',
  over: 'logits',
  position: klDivergence,
  summary: maximum,
});
