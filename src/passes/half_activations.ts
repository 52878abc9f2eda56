import type { Graph, GraphNode, Initializer, ValueInfo } from '../core/graph.js';
import { SEMANTIC_OPERATORS } from '../graph/operators.js';
import { pass } from '../graph/pass.js';

const FLOAT16 = 10;

/** A float32 value and its float16 form, made by one Cast. */
function cast(input: string, to: number, output: string): GraphNode {
  return { name: `${output}/Cast`, op: 'Cast', domain: '', inputs: [input], outputs: [output], attributes: { to } };
}

const HALF = {
  name: 'half_activations',
  requires: SEMANTIC_OPERATORS.map((op) => `halfbyte.${op}`),
  removes: [],
  leaves: ['Cast'],
};

/**
 * A lowered graph in float32 -> the same in float16. Hidden states stay float32 at the borders, where the CPU's graphs
 * make and take them; the cache is float16. Float32 weights keep their bytes and are cast when the model is loaded.
 */
export const halfActivations = pass(HALF, (graph: Graph) => {
  const borders: GraphNode[] = [];
  const exits: GraphNode[] = [];
  const renamed = new Map<string, string>();
  const rename = (name: string) => renamed.get(name) ?? name;
  const isCache = (name: string) => /^(past|present)[_.]/.test(name);
  const half = (value: ValueInfo): ValueInfo =>
    value.dtype === 'FLOAT' && isCache(value.name) ? { ...value, dtype: 'FLOAT16' } : value;

  for (const { name, dtype } of graph.inputs) {
    if (dtype !== 'FLOAT' || isCache(name)) continue;
    renamed.set(name, `${name}/half`);
    borders.push(cast(name, FLOAT16, `${name}/half`));
  }
  const initializers = graph.initializers.map((each): Initializer => {
    if (each.dtype !== 'FLOAT') return each;
    if ('values' in each.content) return { ...each, dtype: 'FLOAT16' };
    renamed.set(each.name, `${each.name}/half`);
    borders.push(cast(each.name, FLOAT16, `${each.name}/half`));
    return each;
  });
  for (const { name, dtype } of graph.outputs) {
    if (dtype !== 'FLOAT' || isCache(name)) continue;
    renamed.set(name, `${name}/half`);
    exits.push(cast(`${name}/half`, 1, name));
  }
  const nodes = graph.nodes.map((node) => {
    const toFloat = node.op === 'Cast' && node.attributes.to === 1;
    return {
      ...node,
      inputs: node.inputs.map(rename),
      outputs: node.outputs.map(rename),
      ...(toFloat ? { attributes: { ...node.attributes, to: FLOAT16 } } : {}),
    };
  });
  return {
    ...graph,
    inputs: graph.inputs.map(half),
    outputs: graph.outputs.map(half),
    initializers,
    nodes: [...borders, ...nodes, ...exits],
  };
});
