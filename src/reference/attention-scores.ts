import type { GraphNode } from '../core/graph.js';

const numberOf = (node: GraphNode, key: string): number => {
  const value = node.attributes[key];
  return typeof value === 'object' && 'float' in value ? value.float : (value as number);
};

/** The product of `count` values from two places, in four sums that do not wait for each other. */
function dotProduct(a: Float32Array, atA: number, b: Float32Array, atB: number, count: number): number {
  let first = 0;
  let second = 0;
  let third = 0;
  let fourth = 0;
  let i = 0;
  for (; i + 3 < count; i += 4) {
    first += a[atA + i] * b[atB + i];
    second += a[atA + i + 1] * b[atB + i + 1];
    third += a[atA + i + 2] * b[atB + i + 2];
    fourth += a[atA + i + 3] * b[atB + i + 3];
  }
  for (; i < count; i++) first += a[atA + i] * b[atB + i];
  return first + second + (third + fourth);
}

/**
 * Scores scale * q k^T of an Attention node, before any cap, over the pairs that it may see: one array for each head and
 * sequence, told as they are computed. q [tokens, heads * d], k [tokens, kv_heads * d], sequences of `lengths` tokens.
 */
export function forEachScores(
  node: GraphNode,
  q: Float32Array,
  k: Float32Array,
  lengths: number[],
  visit: (scores: Float32Array) => void,
): void {
  const [heads, kvHeads, dim] = ['heads', 'kv_heads', 'head_dim'].map((key) => numberOf(node, key));
  const [scale, window] = [numberOf(node, 'scale'), numberOf(node, 'window')];
  let start = 0;
  for (const length of lengths) {
    const scores = new Float32Array((length * (length + 1)) / 2);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor((head * kvHeads) / heads);
      let count = 0;
      for (let i = 0; i < length; i++) {
        const query = (start + i) * heads * dim + head * dim;
        for (let j = window > 0 ? Math.max(0, i - window + 1) : 0; j <= i; j++) {
          const key = (start + j) * kvHeads * dim + shared * dim;
          scores[count++] = scale * dotProduct(q, query, k, key, dim);
        }
      }
      visit(scores.subarray(0, count));
    }
    start += length;
  }
}
