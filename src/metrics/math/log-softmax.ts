/** log sum exp of a row of logits, in float64. NaN if a logit is NaN. */
export function logSumExp(row: Float32Array): number {
  let greatest = -Infinity;
  for (let i = 0; i < row.length; i++) if (!(row[i] <= greatest)) greatest = row[i];
  if (!Number.isFinite(greatest)) return greatest;
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - greatest);
  return greatest + Math.log(sum);
}

/** -log softmax(row)[target], in nats. */
export function negativeLogLikelihood(row: Float32Array, target: number): number {
  return logSumExp(row) - row[target];
}
