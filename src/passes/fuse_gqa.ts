import type { Fusion, Graph, GraphNode } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, integer, producers, Replacement, readers, replaceEach } from '../graph/rewrite.js';
import { floatWeight } from './weight_initializers.js';

/** Head sizes whose rotation GroupQueryAttention does itself (onnxruntime refuses others). */
const fusesRotary = (headDim: number, rotaryDim: number) => headDim % 16 === 0 && rotaryDim === headDim;

/** seqlens_k and total_sequence_length from the attention mask, as onnxruntime-genai's builder draws them. */
function sequenceLengths(draft: GraphDraft, nodes: GraphNode[]): { seqlens: string; total: string } {
  const path = '/model/attn_mask_reformat/attn_mask_subgraph';
  const mask = draft.input('attention_mask', 'INT64', ['batch_size', 'total_sequence_length']);
  const into = new Replacement(draft, {
    name: path,
    op: '',
    domain: 'halfbyte',
    inputs: [],
    outputs: [],
    attributes: {},
  });
  const one = draft.constant('INT64', [1]);
  const sum = into.onnx('ReduceSum', `${path}/ReduceSum`, [mask, one], { keepdims: 0 });
  const last = into.onnx('Sub', `${path}/Sub`, [sum, one]);
  const seqlens = into.onnx('Cast', `${path}/Sub/Cast`, [last], { to: 6 });
  const shape = into.onnx('Shape', `${path}/Shape`, [mask]);
  const length = into.onnx('Gather', `${path}/Gather`, [shape, draft.constant('INT64', 1)]);
  const total = into.onnx('Cast', `${path}/Gather/Cast`, [length], { to: 6 });
  nodes.push(...into.nodes);
  return { seqlens, total };
}

/** The Rotary node that makes a value and whose result nobody else reads, if GroupQueryAttention can take it in. */
export function fusableRotary(
  value: string,
  headDim: number,
  made: Map<string, GraphNode>,
  readBy: Map<string, GraphNode[]>,
): GraphNode | undefined {
  const node = made.get(value);
  if (node?.op !== 'Rotary' || readBy.get(value)?.length !== 1) return undefined;
  return fusesRotary(headDim, integer(node, 'rotary_dim')) ? node : undefined;
}

const ROTARY = {
  name: 'lower_rotary',
  requires: ['halfbyte.Attention', 'halfbyte.LatentAttention'],
  removes: ['halfbyte.Rotary'],
  leaves: ['com.microsoft.RotaryEmbedding'],
};

/** Rotary -> com.microsoft.RotaryEmbedding with position_ids as a graph input, for what no attention takes in. */
export const lowerRotary = pass(ROTARY, (graph) =>
  replaceEach(graph, 'Rotary', (node, into) => {
    const [x, cos, sin] = node.inputs;
    const [headDim, rotaryDim] = [integer(node, 'head_dim'), integer(node, 'rotary_dim')];
    if (integer(node, 'offset') !== 0) throw new Error(`${node.name}: rotary with an offset has its own lowering`);
    const positions = into.graph.input('position_ids', 'INT64', ['batch_size', 'sequence_length']);
    into.contrib(
      'RotaryEmbedding',
      node.name,
      [x, positions, floatWeight(into, cos), floatWeight(into, sin)],
      {
        interleaved: integer(node, 'interleaved'),
        num_heads: integer(node, 'heads'),
        rotary_embedding_dim: rotaryDim === headDim ? 0 : rotaryDim,
      },
      node.outputs[0],
    );
  }),
);

/** Names of a layer's cache in and out of the graph, as onnxruntime-genai expects them. */
export const cacheNames = (layer: number) => ({
  pastKey: `past_key_values.${layer}.key`,
  pastValue: `past_key_values.${layer}.value`,
  presentKey: `present.${layer}.key`,
  presentValue: `present.${layer}.value`,
});

/** The rotation of queries and keys as a part of their attention. */
export const TAKES_ROTARY: Fusion = {
  first: 'halfbyte.Rotary',
  second: 'com.microsoft.GroupQueryAttention',
  into: 'com.microsoft.GroupQueryAttention',
  except: (rotary) => !fusesRotary(integer(rotary, 'head_dim'), integer(rotary, 'rotary_dim')),
};

const ATTENTION = {
  name: 'fuse_gqa',
  removes: ['halfbyte.Attention'],
  leaves: ['com.microsoft.GroupQueryAttention', 'ReduceSum', 'Sub', 'Cast', 'Shape', 'Gather'],
  fuses: [TAKES_ROTARY],
};

/**
 * Attention -> GroupQueryAttention with its cache as graph inputs and outputs [batch, kv_heads, length, head_dim], and
 * the rotation of q and k taken in where the head size allows it.
 */
export const fuseGroupQueryAttention = pass(ATTENTION, (graph: Graph) => {
  if (!graph.nodes.some((node) => node.op === 'Attention' && node.domain === 'halfbyte')) return graph;
  const draft = new GraphDraft(graph);
  const [made, readBy] = [producers(graph), readers(graph)];
  const prelude: GraphNode[] = [];
  const lengths = sequenceLengths(draft, prelude);
  const taken = new Set<GraphNode>();
  const nodes = graph.nodes.flatMap((node) => {
    if (node.op !== 'Attention' || node.domain !== 'halfbyte') return [node];
    const into = new Replacement(draft, node);
    const headDim = integer(node, 'head_dim');
    const kvHeads = integer(node, 'kv_heads');
    const [q, k, v] = node.inputs;
    const rotations = [q, k].map((value) => fusableRotary(value, headDim, made, readBy));
    const rotation = rotations[0] && rotations[1] ? rotations[0] : undefined;
    if (rotation) for (const each of rotations) taken.add(each as GraphNode);
    const names = cacheNames(integer(node, 'layer'));
    const cache = (length: string) => ['batch_size', kvHeads, length, headDim] as const;
    draft.input(names.pastKey, 'FLOAT', [...cache('past_sequence_length')]);
    draft.input(names.pastValue, 'FLOAT', [...cache('past_sequence_length')]);
    draft.output(names.presentKey, 'FLOAT', [...cache('total_sequence_length')]);
    draft.output(names.presentValue, 'FLOAT', [...cache('total_sequence_length')]);
    const window = integer(node, 'window');
    into.push({
      name: node.name,
      op: 'GroupQueryAttention',
      domain: 'com.microsoft',
      inputs: [
        ...(rotation ? rotations.map((each) => (each as GraphNode).inputs[0]) : [q, k]),
        v,
        names.pastKey,
        names.pastValue,
        lengths.seqlens,
        lengths.total,
        ...(rotation ? rotation.inputs.slice(1).map((table) => floatWeight(into, table)) : []),
      ],
      outputs: [node.outputs[0], names.presentKey, names.presentValue],
      attributes: {
        num_heads: integer(node, 'heads'),
        kv_num_heads: kvHeads,
        scale: { float: float(node, 'scale') },
        softcap: { float: float(node, 'softcap') },
        local_window_size: window === 0 ? -1 : window,
        do_rotary: rotation ? 1 : 0,
        rotary_interleaved: rotation ? integer(rotation, 'interleaved') : 0,
      },
    });
    return into.nodes;
  });
  draft.graph.nodes = [...prelude, ...nodes.filter((node) => !taken.has(node))];
  return draft.finish();
});
