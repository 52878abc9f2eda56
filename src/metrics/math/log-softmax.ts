import type { LogTotals } from '../../core/metric.js';

/** log sum exp of a row of logits, in float64. NaN if a logit is NaN. */
export function logSumExp(row: Float32Array): number {
  let greatest = -Infinity;
  for (let i = 0; i < row.length; i++) if (!(row[i] <= greatest)) greatest = row[i];
  if (!Number.isFinite(greatest)) return greatest;
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - greatest);
  return greatest + Math.log(sum);
}

/** Log sum exp of the rows of both runs. */
export const totalsOf = (reference: Float32Array, actual: Float32Array): LogTotals => ({
  reference: logSumExp(reference),
  actual: logSumExp(actual),
});

/** -log softmax(row)[target], in nats. `total` is the row's log sum exp. */
export function negativeLogLikelihood(row: Float32Array, target: number, total = logSumExp(row)): number {
  return total - row[target];
}
