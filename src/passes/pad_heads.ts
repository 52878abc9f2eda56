import { pass } from '../graph/pass.js';
import { integer, replaceEach } from '../graph/rewrite.js';

/** Head sizes that GroupQueryAttention accepts are multiples of this (onnxruntime group_query_attention_helper.h). */
const HEAD_MULTIPLE = 8;

const PADDED = {
  name: 'pad_heads',
  removes: [],
  leaves: ['Reshape', 'Pad', 'Slice'],
};

/**
 * Attention with a head size that GroupQueryAttention refuses -> the same on heads padded with zeros: scores do not
 * change, and the padding of the result is sliced off. The cache holds the padded heads.
 */
export const padHeads = pass(PADDED, (graph) => {
  const needed = graph.nodes.some(
    (node) => node.op === 'Attention' && node.domain === 'halfbyte' && integer(node, 'head_dim') % HEAD_MULTIPLE !== 0,
  );
  if (!needed) return graph;
  return replaceEach(graph, 'Attention', (node, into) => {
    const headDim = integer(node, 'head_dim');
    const padded = Math.ceil(headDim / HEAD_MULTIPLE) * HEAD_MULTIPLE;
    const draft = into.graph;
    const reshaped = (value: string, shape: number[], segment: string, output?: string) =>
      into.onnx('Reshape', `${node.name}/${segment}`, [value, draft.constant('INT64', shape)], {}, output);
    const lastAxis = draft.constant('INT64', [-1]);
    const pad = (value: string, heads: number, which: string) => {
      const split = reshaped(value, [0, 0, heads, headDim], `${which}_split/Reshape`);
      const widened = into.onnx('Pad', `${node.name}/${which}_pad/Pad`, [
        split,
        draft.constant('INT64', [0, padded - headDim]),
        '',
        lastAxis,
      ]);
      return reshaped(widened, [0, 0, heads * padded], `${which}_join/Reshape`);
    };
    const [heads, kvHeads] = [integer(node, 'heads'), integer(node, 'kv_heads')];
    const attended = `${node.name}/padded_0`;
    const inputs = [
      pad(node.inputs[0], heads, 'q'),
      pad(node.inputs[1], kvHeads, 'k'),
      pad(node.inputs[2], kvHeads, 'v'),
    ];
    into.push({
      ...node,
      inputs,
      outputs: [attended],
      attributes: { ...node.attributes, head_dim: padded, v_head_dim: padded },
    });
    const split = reshaped(attended, [0, 0, heads, padded], 'split/Reshape');
    const bounds = [0, headDim].map((bound) => draft.constant('INT64', [bound]));
    const cut = into.onnx('Slice', `${node.name}/cut/Slice`, [split, ...bounds, lastAxis]);
    reshaped(cut, [0, 0, heads * headDim], 'join/Reshape', node.outputs[0]);
  });
});
