import type { Graph, GraphNode } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, producers, Replacement, readers } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

/** Whether the norm spans the whole last axis of its input. */
function spansRow(graph: Graph, node: GraphNode): boolean {
  return graph.values[node.inputs[0]].shape.at(-1) === graph.weights[node.inputs[1]].shape[0];
}

function perHead(node: GraphNode, into: Replacement, graph: Graph): void {
  const [x, gamma] = node.inputs;
  const size = graph.weights[gamma].shape[0];
  const width = graph.values[x].shape.at(-1) as number;
  const draft = into.graph;
  const heads = into.onnx('Reshape', `${node.name}/Reshape_1`, [
    x,
    draft.constant('INT64', [0, -1, width / size, size]),
  ]);
  const normed = into.onnx('SimplifiedLayerNormalization', node.name, [heads, floatWeight(into, gamma)], {
    axis: -1,
    epsilon: { float: float(node, 'epsilon') },
    stash_type: 1,
  });
  into.onnx(
    'Reshape',
    `${node.name}/Reshape_2`,
    [normed, draft.constant('INT64', [0, -1, width])],
    {},
    node.outputs[0],
  );
}

const SKIP_NORM = {
  name: 'fuse_skip_norm',
  removes: ['halfbyte.RmsNorm'],
  leaves: ['SimplifiedLayerNormalization', 'com.microsoft.SkipSimplifiedLayerNormalization', 'Reshape'],
  fuses: [
    {
      first: 'halfbyte.Add',
      second: 'SimplifiedLayerNormalization',
      into: 'com.microsoft.SkipSimplifiedLayerNormalization',
    },
  ],
};

/**
 * RmsNorm -> SimplifiedLayerNormalization; an Add whose sum feeds a norm and nothing before it (the sum is made where
 * the norm stands) -> its
 * SkipSimplifiedLayerNormalization, whose fourth output is the residual stream. Norms per head are reshaped around.
 */
export const fuseSkipNorm = pass(SKIP_NORM, (graph) => {
  const draft = new GraphDraft(graph);
  const [made, readBy] = [producers(graph), readers(graph)];
  const nodes: GraphNode[] = [];
  const fused = new Set<GraphNode>();
  for (const node of graph.nodes) {
    if (node.op !== 'RmsNorm' || node.domain !== 'halfbyte') {
      nodes.push(node);
      continue;
    }
    const into = new Replacement(draft, node);
    const [x, gamma] = node.inputs;
    const add = made.get(x);
    if (!spansRow(graph, node)) {
      perHead(node, into, graph);
    } else if (add?.op === 'Add' && add.domain === 'halfbyte' && !fused.has(add) && readBy.get(x)?.[0] === node) {
      fused.add(add);
      into.push({
        name: node.name.replace(/LayerNorm$/, 'SkipLayerNorm'),
        op: 'SkipSimplifiedLayerNormalization',
        domain: 'com.microsoft',
        inputs: [...add.inputs, floatWeight(into, gamma)],
        outputs: [node.outputs[0], '', '', x],
        attributes: { epsilon: { float: float(node, 'epsilon') } },
      });
      nodes.splice(nodes.indexOf(add), 1);
    } else {
      into.onnx(
        'SimplifiedLayerNormalization',
        node.name,
        [x, floatWeight(into, gamma)],
        { axis: -1, epsilon: { float: float(node, 'epsilon') }, stash_type: 1 },
        node.outputs[0],
      );
    }
    nodes.push(...into.nodes);
  }
  draft.graph.nodes = nodes;
  return draft.finish();
});
