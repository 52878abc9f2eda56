import type { Metric } from '../../core/metric.js';

/** The value of a metric at each position of [positions, vocabulary], in order; positions without a target are skipped. */
export function perPosition(
  metric: Pick<Metric, 'position' | 'over'>,
  reference: Float32Array,
  actual: Float32Array,
  vocabulary: number,
  targets?: ArrayLike<number>,
): Float64Array {
  const { position, over } = metric;
  if (!position) throw new Error('this metric has no value at a position');
  if (reference.length !== actual.length || reference.length % vocabulary !== 0) {
    throw new Error(`logits of ${reference.length} and ${actual.length} values, vocabulary ${vocabulary}`);
  }
  const positions = reference.length / vocabulary;
  if (over === 'targets' && targets?.length !== positions) {
    throw new Error(`${positions} positions need as many targets; there are ${targets?.length ?? 'none'}`);
  }
  const values: number[] = [];
  for (let index = 0; index < positions; index++) {
    const target = targets?.[index] ?? -1;
    if (over === 'targets' && target < 0) continue;
    const [from, to] = [index * vocabulary, (index + 1) * vocabulary];
    values.push(position(reference.subarray(from, to), actual.subarray(from, to), target));
  }
  return Float64Array.from(values);
}

/** A metric made of a value at each position and a summary of these. */
export function positionMetric(parts: Required<Omit<Metric, 'measure'>>): Required<Metric> {
  return {
    ...parts,
    measure: (reference, actual, vocabulary, targets) =>
      parts.summary(perPosition(parts, reference, actual, vocabulary, targets)),
  };
}
