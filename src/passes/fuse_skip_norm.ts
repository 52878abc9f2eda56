import type { Graph, GraphNode } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, producers, Replacement, readers } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

/** Whether the norm spans the whole last axis of its input. */
function spansRow(graph: Graph, node: GraphNode): boolean {
  return graph.values[node.inputs[0]].shape.at(-1) === graph.weights[node.inputs[1]].shape.at(-1);
}

/** A norm as the operators that it becomes: alone, and together with the Add in front of it. */
const FORMS: Record<string, { alone: string; fused: string }> = {
  RmsNorm: { alone: 'SimplifiedLayerNormalization', fused: 'SkipSimplifiedLayerNormalization' },
  LayerNorm: { alone: 'LayerNormalization', fused: 'SkipLayerNormalization' },
};

/** The gain of a norm, and its shift where there is one. */
const constantsOf = (node: GraphNode, into: Replacement) => node.inputs.slice(1).map((name) => floatWeight(into, name));

function alone(node: GraphNode, into: Replacement, x: string, output?: string): string {
  const attributes = { axis: -1, epsilon: { float: float(node, 'epsilon') }, stash_type: 1 };
  return into.onnx(FORMS[node.op].alone, node.name, [x, ...constantsOf(node, into)], attributes, output);
}

/** The norm without a gain, then the gain of each head, on [.., heads, d]. */
function withOwnGains(node: GraphNode, into: Replacement, heads: string, size: number): string {
  const ones = into.graph.constant('FLOAT', new Array(size).fill(1));
  const attributes = { axis: -1, epsilon: { float: float(node, 'epsilon') }, stash_type: 1 };
  const normed = into.onnx(FORMS[node.op].alone, node.name, [heads, ones], attributes);
  return into.onnx('Mul', `${node.name}/Mul`, [normed, floatWeight(into, node.inputs[1])]);
}

function perHead(node: GraphNode, into: Replacement, graph: Graph): void {
  const [x, gamma] = node.inputs;
  const [rows, size] = [graph.weights[gamma].shape.length, graph.weights[gamma].shape.at(-1) as number];
  const width = graph.values[x].shape.at(-1) as number;
  const draft = into.graph;
  const heads = into.onnx('Reshape', `${node.name}/Reshape_1`, [
    x,
    draft.constant('INT64', [0, -1, width / size, size]),
  ]);
  const normed = rows === 1 ? alone(node, into, heads) : withOwnGains(node, into, heads, size);
  const shape = draft.constant('INT64', [0, -1, width]);
  into.onnx('Reshape', `${node.name}/Reshape_2`, [normed, shape], {}, node.outputs[0]);
}

const SKIP_NORM = {
  name: 'fuse_skip_norm',
  removes: Object.keys(FORMS).map((op) => `halfbyte.${op}`),
  leaves: [...Object.values(FORMS).flatMap((form) => [form.alone, `com.microsoft.${form.fused}`]), 'Mul', 'Reshape'],
  fuses: Object.values(FORMS).map((form) => ({
    first: 'halfbyte.Add',
    second: form.alone,
    into: `com.microsoft.${form.fused}`,
  })),
};

/**
 * RmsNorm and LayerNorm -> SimplifiedLayerNormalization and LayerNormalization; an Add whose sum feeds a norm and nothing
 * before it (the sum is made where the norm stands) -> its SkipSimplifiedLayerNormalization or SkipLayerNormalization,
 * whose fourth output is the residual stream. Norms per head are reshaped around.
 */
export const fuseSkipNorm = pass(SKIP_NORM, (graph) => {
  const draft = new GraphDraft(graph);
  const [made, readBy] = [producers(graph), readers(graph)];
  const nodes: GraphNode[] = [];
  const fused = new Set<GraphNode>();
  for (const node of graph.nodes) {
    if (!Object.hasOwn(FORMS, node.op) || node.domain !== 'halfbyte') {
      nodes.push(node);
      continue;
    }
    const into = new Replacement(draft, node);
    const [x] = node.inputs;
    const add = made.get(x);
    if (!spansRow(graph, node)) {
      perHead(node, into, graph);
    } else if (add?.op === 'Add' && add.domain === 'halfbyte' && !fused.has(add) && readBy.get(x)?.[0] === node) {
      fused.add(add);
      into.push({
        name: node.name.replace(/LayerNorm$/, 'SkipLayerNorm'),
        op: FORMS[node.op].fused,
        domain: 'com.microsoft',
        inputs: [...add.inputs, ...constantsOf(node, into)],
        outputs: [node.outputs[0], '', '', x],
        attributes: { epsilon: { float: float(node, 'epsilon') } },
      });
      nodes.splice(nodes.indexOf(add), 1);
    } else {
      alone(node, into, x, node.outputs[0]);
    }
    nodes.push(...into.nodes);
  }
  draft.graph.nodes = nodes;
  return draft.finish();
});
