import type { Dim, Pass, ValueInfo } from '../core/graph.js';
import { pass } from '../graph/pass.js';

const SHAPES = {
  name: 'static_shapes',
  removes: [],
  leaves: [],
};

/** Symbolic dimensions -> numbers, in inputs, outputs and every known value: `sizes` by the dimension's name. */
export function staticShapes(sizes: Record<string, number>): Pass {
  const fixed = (dim: Dim) => (typeof dim === 'string' ? (sizes[dim] ?? dim) : dim);
  const value = (each: ValueInfo): ValueInfo => ({ ...each, shape: each.shape.map(fixed) });
  return pass(SHAPES, (graph) => ({
    ...graph,
    inputs: graph.inputs.map(value),
    outputs: graph.outputs.map(value),
    values: Object.fromEntries(Object.entries(graph.values).map(([name, each]) => [name, value(each)])),
  }));
}
