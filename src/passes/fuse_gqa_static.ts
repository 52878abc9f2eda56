import type { GraphNode, Pass } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, integer, producers, Replacement, readers } from '../graph/rewrite.js';
import { fusableRotary, TAKES_ROTARY } from './fuse_gqa.js';
import type { StaticSizes } from './lower_attention_static.js';
import { cacheOf } from './static_cache.js';
import { LENGTHS, lengthInputs } from './static_positions.js';
import { floatWeight } from './weight_initializers.js';

const STATIC_ATTENTION = {
  name: 'fuse_gqa_static',
  removes: ['halfbyte.Attention'],
  leaves: ['com.microsoft.GroupQueryAttention'],
  fuses: [TAKES_ROTARY],
};

/**
 * Attention -> GroupQueryAttention on a static cache, an island that the CPU computes: past_seq_len has the meaning of
 * its seqlens_k, and the rotation of q and k is taken in where the head size allows it.
 */
export function fuseGroupQueryAttentionStatic({ contextLength }: StaticSizes): Pass {
  return pass(STATIC_ATTENTION, (graph) => {
    const draft = new GraphDraft(graph);
    const [made, readBy] = [producers(graph), readers(graph)];
    const taken = new Set<GraphNode>();
    const nodes = graph.nodes.flatMap((node) => {
      if (node.op !== 'Attention' || node.domain !== 'halfbyte') return [node];
      const into = new Replacement(draft, node);
      const [q, k, v] = node.inputs;
      const rotations = [q, k].flatMap((value) => fusableRotary(value, integer(node, 'head_dim'), made, readBy) ?? []);
      const fused = rotations.length === 2;
      if (fused) for (const each of rotations) taken.add(each);
      const names = cacheOf(draft, node, contextLength);
      lengthInputs(draft);
      const window = integer(node, 'window');
      into.push({
        name: node.name,
        op: 'GroupQueryAttention',
        domain: 'com.microsoft',
        inputs: [
          ...(fused ? rotations.map((each) => each.inputs[0]) : [q, k]),
          v,
          names.pastKey,
          names.pastValue,
          LENGTHS.past,
          LENGTHS.total,
          ...(fused ? rotations[0].inputs.slice(1).map((table) => floatWeight(into, table)) : []),
        ],
        outputs: [node.outputs[0], names.presentKey, names.presentValue],
        attributes: {
          num_heads: integer(node, 'heads'),
          kv_num_heads: integer(node, 'kv_heads'),
          scale: { float: float(node, 'scale') },
          softcap: { float: float(node, 'softcap') },
          local_window_size: window === 0 ? -1 : window,
          do_rotary: fused ? 1 : 0,
          rotary_interleaved: fused ? integer(rotations[0], 'interleaved') : 0,
        },
      });
      return into.nodes;
    });
    draft.graph.nodes = nodes.filter((node) => !taken.has(node));
    return draft.finish();
  });
}
