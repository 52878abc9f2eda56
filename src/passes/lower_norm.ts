import type { Graph, GraphNode } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { float, type Replacement, replaceEach } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

/** The operator of ai.onnx for each norm. */
const FORMS = { RmsNorm: 'SimplifiedLayerNormalization', LayerNorm: 'LayerNormalization' };

function lower(node: GraphNode, into: Replacement, graph: Graph, op: string): void {
  const [x, ...constants] = node.inputs;
  const [batch, tokens, width] = graph.values[x].shape as number[];
  const { shape } = graph.weights[constants[0]];
  const size = shape.at(-1) as number;
  const attributes = { axis: -1, epsilon: { float: float(node, 'epsilon') }, stash_type: 1 };
  const norm = (value: string, output?: string) =>
    into.onnx(op, node.name, [value, ...constants.map((name) => floatWeight(into, name))], attributes, output);
  if (size === width) {
    norm(x, node.outputs[0]);
    return;
  }
  const shaped = (value: string, segment: string, dims: number[], output?: string) =>
    into.onnx('Reshape', `${node.name}/${segment}`, [value, into.graph.constant('INT64', dims)], {}, output);
  const heads = shaped(x, 'Reshape_1', [batch, (tokens * width) / size, size]);
  if (shape.length === 1) {
    shaped(norm(heads), 'Reshape_2', [batch, tokens, width], node.outputs[0]);
    return;
  }
  // a gain for each head: the norm without one, whose values are below sqrt(d), and all gains on the whole width
  const { graph: draft } = into;
  const ones = draft.constant('FLOAT', new Array(size).fill(1));
  const plain = into.onnx(op, node.name, [heads, ones], attributes, `${node.name}/normed`);
  const whole = shaped(plain, 'Reshape_2', [batch, tokens, width]);
  into.onnx('Mul', `${node.name}/Mul`, [whole, floatWeight(into, constants[0], [width])], {}, node.outputs[0]);
  const { ranges } = draft.graph;
  const most = Math.sqrt(size);
  if (ranges) draft.graph.ranges = { ...ranges, [plain]: { min: -most, max: most } };
}

const NORM = {
  name: 'lower_norm',
  removes: ['halfbyte.RmsNorm', 'halfbyte.LayerNorm'],
  leaves: ['SimplifiedLayerNormalization', 'LayerNormalization', 'Mul', 'Reshape'],
};

/**
 * RmsNorm -> SimplifiedLayerNormalization, LayerNorm -> LayerNormalization, on rank 3, epsilon kept. A norm per head
 * works on [1, tokens * heads, d]: the rank-4 form is reported wrong on HTP.
 */
export const lowerNorm = pass(NORM, (graph) =>
  Object.entries(FORMS).reduce(
    (lowered, [op, form]) => replaceEach(lowered, op, (node, into) => lower(node, into, graph, form)),
    graph,
  ),
);
