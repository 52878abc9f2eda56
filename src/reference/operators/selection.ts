import type { OperatorCall, RoutingMargin } from '../call.js';

/** Indices from the greatest value to the least; of equal values the lower index comes first. */
export function byDescending(values: ArrayLike<number>): number[] {
  return Array.from({ length: values.length }, (_, index) => index).sort(
    (a, b) => Number(values[b] > values[a]) - Number(values[b] < values[a]) || a - b,
  );
}

/** Reports how far the last of the chosen is from the first of the others. */
export function routingMargin(
  call: OperatorCall,
  among: RoutingMargin['among'],
  token: number,
  values: ArrayLike<number>,
  order: number[],
  chosen: number,
): void {
  if (!call.onRoutingMargin) return;
  const margin = chosen < order.length ? values[order[chosen - 1]] - values[order[chosen]] : Infinity;
  const { starts, positions } = call.sequences;
  const sequence = starts.findIndex((start) => start > token) - 1;
  call.onRoutingMargin({ node: call.node.name, among, sequence, position: positions[token], margin });
}
