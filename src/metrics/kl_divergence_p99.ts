import { klDivergence } from './math/divergence.js';
import { positionMetric } from './math/positions.js';
import { percentile } from './math/summary.js';

/** 99th percentile over positions of KL(reference || actual): what a mean hides. */
export default positionMetric({
  unit: 'nats',
  better: 'lower',
  over: 'logits',
  position: klDivergence,
  summary: (values) => percentile(values, 0.99),
});
