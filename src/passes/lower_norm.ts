import type { Graph, GraphNode, Pass } from '../core/graph.js';
import { float, type Replacement, replaceEach } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

/** The operator of ai.onnx for each norm. */
const FORMS = { RmsNorm: 'SimplifiedLayerNormalization', LayerNorm: 'LayerNormalization' };

function lower(node: GraphNode, into: Replacement, graph: Graph, op: string): void {
  const [x, ...constants] = node.inputs;
  const [batch, tokens, width] = graph.values[x].shape as number[];
  const size = graph.weights[constants[0]].shape[0];
  const norm = (value: string, output?: string) =>
    into.onnx(
      op,
      node.name,
      [value, ...constants.map((name) => floatWeight(into, name))],
      { axis: -1, epsilon: { float: float(node, 'epsilon') }, stash_type: 1 },
      output,
    );
  if (size === width) {
    norm(x, node.outputs[0]);
    return;
  }
  const shaped = (value: string, segment: string, shape: number[], output?: string) =>
    into.onnx('Reshape', `${node.name}/${segment}`, [value, into.graph.constant('INT64', shape)], {}, output);
  const heads = shaped(x, 'Reshape_1', [batch, (tokens * width) / size, size]);
  shaped(norm(heads), 'Reshape_2', [batch, tokens, width], node.outputs[0]);
}

/**
 * RmsNorm -> SimplifiedLayerNormalization, LayerNorm -> LayerNormalization, on rank 3, epsilon kept. A norm per head
 * works on [1, tokens * heads, d]: the rank-4 form is reported wrong on HTP.
 */
export const lowerNorm: Pass = (graph) =>
  Object.entries(FORMS).reduce(
    (lowered, [op, form]) => replaceEach(lowered, op, (node, into) => lower(node, into, graph, form)),
    graph,
  );
