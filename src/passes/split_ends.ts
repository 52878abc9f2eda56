import type { Graph, Pass, ValueInfo } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { producers } from '../graph/rewrite.js';

/** Names under which hidden states cross the borders of the parts. */
export const BORDERS = { afterEmbedding: 'input_hidden_states', beforeHead: 'output_hidden_states' };

export type Part = 'embeddings' | 'layers' | 'head';

/** Every node that `outputs` need, in the graph's order; values of `inputs` are given. */
function nodesBetween(graph: Graph, inputs: string[], outputs: string[]) {
  const made = producers(graph);
  const needed = new Set<string>();
  const pending = [...outputs];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const node = made.get(name);
    if (!node || inputs.includes(name) || needed.has(node.name)) continue;
    needed.add(node.name);
    pending.push(...node.inputs);
  }
  return graph.nodes.filter((node) => needed.has(node.name));
}

const PARTS = {
  name: 'split_ends',
  removes: [],
  leaves: [],
};

/**
 * A drawn decoder -> one of its three parts: ids to the first hidden state, that to the last one, that to logits. The
 * borders are the first and last of the graph's hidden states and get the names of `BORDERS`.
 */
export function splitEnds(part: Part): Pass {
  return pass(PARTS, (graph) => {
    const [first, last] = [graph.hiddenStates[0], graph.hiddenStates[graph.hiddenStates.length - 1]];
    const names = new Map([
      [first, BORDERS.afterEmbedding],
      [last, BORDERS.beforeHead],
    ]);
    const renamed = (name: string) => names.get(name) ?? name;
    const border = (name: string): ValueInfo => ({ ...graph.values[name], name: renamed(name) });
    const ends = {
      embeddings: { from: graph.inputs, to: [border(first)], read: graph.inputs, made: [first] },
      layers: { from: [border(first)], to: [border(last)], read: [graph.values[first]], made: [last] },
      head: { from: [border(last)], to: graph.outputs, read: [graph.values[last]], made: ['logits'] },
    }[part];
    const nodes = nodesBetween(
      graph,
      ends.read.map((each) => each.name),
      ends.made,
    );
    const used = new Set(nodes.flatMap((node) => node.inputs));
    const rename = <T>(record: Record<string, T>) =>
      Object.fromEntries(Object.entries(record).map(([name, value]) => [renamed(name), value]));
    return {
      ...graph,
      name: part,
      inputs: ends.from,
      outputs: ends.to,
      nodes: nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map(renamed),
        outputs: node.outputs.map(renamed),
      })),
      weights: Object.fromEntries(
        // A tied head is made of a table that only the other end reads, so the table stays known by name.
        Object.entries(graph.weights).filter(([name, { role }]) => used.has(name) || role === 'embedding'),
      ),
      values: rename(
        Object.fromEntries(
          Object.entries(graph.values).map(([name, value]) => [name, { ...value, name: renamed(name) }]),
        ),
      ),
      hiddenStates: graph.hiddenStates.map(renamed),
      ...(graph.ranges ? { ranges: rename(graph.ranges) } : {}),
    };
  });
}
