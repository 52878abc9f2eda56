import { negativeLogLikelihood } from './math/log-softmax.js';
import { positionMetric } from './math/positions.js';
import { mean } from './math/summary.js';

/** Perplexity of the actual run: exp of the mean of -log p(next id), logits float32, log-softmax float64. */
export default positionMetric({
  unit: 'perplexity',
  better: 'lower',
  over: 'targets',
  position: (_, actual, target, totals) => negativeLogLikelihood(actual, target, totals?.actual),
  summary: (values) => Math.exp(mean(values)),
});
