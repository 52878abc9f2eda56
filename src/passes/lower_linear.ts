import type { Pass } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { replaceEach } from '../graph/rewrite.js';
import { assigned, blockWeight, floatWeight, integerBits } from './weight_initializers.js';

const LINEAR = {
  name: 'lower_linear',
  requires: ['halfbyte.LatentAttention', 'halfbyte.Experts'],
  removes: ['halfbyte.Linear'],
  leaves: ['com.microsoft.MatMulNBits', 'com.microsoft.FusedMatMul', 'Add', 'Cast'],
};

/**
 * Linear -> MatMulNBits for block-wise integer weights, FusedMatMul with a transposed right side for float ones: the
 * weights keep Hugging Face's [out, in] rows, which stream. A bias is an Add, as onnxruntime-genai's builder draws it.
 */
export function lowerLinear(accuracyLevel: number): Pass {
  return pass(LINEAR, (graph) =>
    replaceEach(graph, 'Linear', (node, into) => {
      const [x, name, bias] = node.inputs;
      const { scheme, shape } = assigned(into, name);
      const output = bias ? undefined : node.outputs[0];
      let product: string;
      if (integerBits(scheme)) {
        const { bits, blockSize, codes, scales, zeroPoints } = blockWeight(into, name);
        product = into.contrib(
          'MatMulNBits',
          `${node.name}_Q${bits}`,
          zeroPoints ? [x, codes, scales, zeroPoints] : [x, codes, scales],
          { K: shape[1], N: shape[0], bits, block_size: blockSize, accuracy_level: accuracyLevel },
          output,
        );
      } else {
        product = into.contrib('FusedMatMul', node.name, [x, floatWeight(into, name)], { transB: 1 }, output);
      }
      if (bias) {
        into.onnx(
          'Add',
          `${node.name.replace(/\/MatMul$/, '')}/Add`,
          [product, floatWeight(into, bias)],
          {},
          node.outputs[0],
        );
      }
    }),
  );
}
