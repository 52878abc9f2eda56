import { positionMetric } from './math/positions.js';
import { agreement } from './math/ranking.js';
import { mean } from './math/summary.js';

/** Share of positions at which both runs prefer the same next id. */
export default positionMetric({
  unit: 'share',
  better: 'higher',
  over: 'logits',
  position: (reference, actual) => agreement(reference, actual, 1),
  summary: mean,
});
