import type { Weight } from './graph.js';
import type { WeightSource } from './weights.js';

/** Names of the checkpoint's tensors that a source reads. */
export function leavesOf(source: WeightSource): string[] {
  if (typeof source === 'string') return [source];
  if ('tied' in source) return [source.tied];
  if ('rotary' in source) return [];
  if ('concat' in source) return source.concat.flatMap(leavesOf);
  if ('interleaveRows' in source) return source.interleaveRows.flatMap(leavesOf);
  if ('rows' in source) return leavesOf(source.rows);
  if ('permuteRows' in source) return leavesOf(source.permuteRows);
  return leavesOf('transpose' in source ? source.transpose : source.plus);
}

/**
 * The source of a weight in names of the checkpoint: a weight of a lowered graph may be made of others by name. Inside
 * its own source a weight's name is the checkpoint's tensor.
 */
export function checkpointSource(weight: Weight, weights: Record<string, Weight>): WeightSource {
  return expand(weight.source, weights, [weight.name]);
}

function expand(source: WeightSource, weights: Record<string, Weight>, seen: string[]): WeightSource {
  const inner = (each: WeightSource) => expand(each, weights, seen);
  if (typeof source === 'string') {
    const weight = weights[source];
    if (!weight || weight.source === source || seen.includes(source)) return source;
    return expand(weight.source, weights, [...seen, source]);
  }
  if ('tied' in source) return inner(source.tied);
  if ('rotary' in source) return source;
  if ('concat' in source) return { concat: source.concat.map(inner) };
  if ('interleaveRows' in source) return { interleaveRows: source.interleaveRows.map(inner) };
  if ('rows' in source) return { ...source, rows: inner(source.rows) };
  if ('permuteRows' in source) return { ...source, permuteRows: inner(source.permuteRows) };
  if ('transpose' in source) return { transpose: inner(source.transpose) };
  return { ...source, plus: inner(source.plus) };
}
