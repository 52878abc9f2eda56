import { klDivergence } from './math/divergence.js';
import { positionMetric } from './math/positions.js';
import { mean } from './math/summary.js';

/** Mean over positions of KL(reference || actual). */
export default positionMetric({
  unit: 'nats',
  better: 'lower',
  over: 'logits',
  position: klDivergence,
  summary: mean,
});
