import { pass } from '../graph/pass.js';
import { float, replaceEach } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

const NORM = {
  name: 'lower_norm',
  removes: ['halfbyte.RmsNorm'],
  leaves: ['SimplifiedLayerNormalization', 'Reshape'],
};

/**
 * RmsNorm -> SimplifiedLayerNormalization on rank 3, epsilon kept. A norm per head works on [1, tokens * heads, d]:
 * the rank-4 form is reported wrong on HTP.
 */
export const lowerNorm = pass(NORM, (graph) =>
  replaceEach(graph, 'RmsNorm', (node, into) => {
    const [x, gamma] = node.inputs;
    const [batch, tokens, width] = graph.values[x].shape as number[];
    const size = graph.weights[gamma].shape[0];
    const norm = (value: string, output?: string) =>
      into.onnx(
        'SimplifiedLayerNormalization',
        node.name,
        [value, floatWeight(into, gamma)],
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
  }),
);
