import type { Metric } from '../core/metric.js';
import { ErrorSums } from './math/error-sums.js';

/** Signal-to-quantization-noise ratio of weights, 10 log10(sum r^2 / sum (r - a)^2): Infinity where nothing differs. */
export default {
  unit: 'dB',
  better: 'higher',
  over: 'weights',
  measure: (reference, actual) => new ErrorSums().add(reference, actual).sqnrDb,
} satisfies Metric;
