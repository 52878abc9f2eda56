import { negativeLogLikelihood } from './math/log-softmax.js';
import { positionMetric } from './math/positions.js';
import { mean } from './math/summary.js';

/** Perplexity of the actual run over that of the reference: exp of the mean rise of -log p(next id). */
export default positionMetric({
  unit: 'ratio',
  better: 'lower',
  over: 'targets',
  position: (reference, actual, target, totals) =>
    negativeLogLikelihood(actual, target, totals?.actual) - negativeLogLikelihood(reference, target, totals?.reference),
  summary: (values) => Math.exp(mean(values)),
});
