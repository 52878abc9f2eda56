import type { LogTotals } from '../../core/metric.js';
import { totalsOf } from './log-softmax.js';

/**
 * Kullback-Leibler divergence of softmax(actual) from softmax(reference) in nats, float64: sum p (log p - log q).
 * Never below 0; NaN where a logit is NaN, Infinity where the actual run rules out what the reference allows.
 */
export function klDivergence(
  reference: Float32Array,
  actual: Float32Array,
  _target?: number,
  { reference: logP, actual: logQ }: LogTotals = totalsOf(reference, actual),
): number {
  let sum = 0;
  for (let i = 0; i < reference.length; i++) {
    const p = Math.exp(reference[i] - logP);
    if (p !== 0) sum += p * (reference[i] - logP - (actual[i] - logQ));
  }
  return Math.max(0, sum);
}
