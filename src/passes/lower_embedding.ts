import { pass } from '../graph/pass.js';
import { replaceEach } from '../graph/rewrite.js';
import { assigned, blockWeight, integerBits } from './weight_initializers.js';

const EMBEDDING = {
  name: 'lower_embedding',
  removes: ['halfbyte.Embedding'],
  leaves: ['Gather', 'Cast', 'com.microsoft.GatherBlockQuantized', 'Slice'],
};

/**
 * Embedding -> Gather, or GatherBlockQuantized on the bytes of MatMulNBits, so that a tied table serves both ends.
 * GatherBlockQuantized returns whole blocks: a padded last group is sliced off.
 */
export const lowerEmbedding = pass(EMBEDDING, (graph) =>
  replaceEach(graph, 'Embedding', (node, into) => {
    const [ids, table] = node.inputs;
    const { scheme, shape } = assigned(into, table);
    const output = node.outputs[0];
    if (!integerBits(scheme)) {
      const half = scheme.scheme === 'f16';
      const data = into.graph.initializer(table, half ? 'FLOAT16' : 'FLOAT', shape, { weight: table, part: 'codes' });
      const rows = into.onnx('Gather', node.name, [data, ids], {}, half ? undefined : output);
      if (half) into.onnx('Cast', `${node.name}/Cast`, [rows], { to: 1 }, output);
      return;
    }
    const { bits, blockSize, blocks, codes, scales, zeroPoints } = blockWeight(into, table, true);
    const padded = blocks * blockSize > shape[1];
    const rows = into.contrib(
      'GatherBlockQuantized',
      `${node.name}_Q${bits}`,
      zeroPoints ? [codes, ids, scales, zeroPoints] : [codes, ids, scales],
      { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 },
      padded ? undefined : output,
    );
    if (padded) {
      const bound = (value: number) => into.graph.constant('INT64', [value]);
      into.onnx('Slice', `${node.name}/Slice`, [rows, bound(0), bound(shape[1]), bound(-1)], {}, output);
    }
  }),
);
