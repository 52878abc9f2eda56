import { positionMetric } from './math/positions.js';
import { agreement } from './math/ranking.js';
import { mean } from './math/summary.js';

/** Mean share of the reference's five best ids that are among the actual run's five best, in any order. */
export default positionMetric({
  unit: 'share',
  better: 'higher',
  over: 'logits',
  position: (reference, actual) => agreement(reference, actual, 5),
  summary: mean,
});
