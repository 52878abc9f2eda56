import type { ElementType } from '../core/dtype.js';
import type { GraphNode } from '../core/graph.js';
import { type GraphDraft, integer } from '../graph/rewrite.js';

/** Names of a layer's cache in and out of a static graph, `%d` for the layer in genai_config.json. */
export const CACHE_NAMES = {
  pastKey: 'past_keys_%d',
  pastValue: 'past_values_%d',
  presentKey: 'present_keys_%d',
  presentValue: 'present_values_%d',
};

/** Declares the cache of an Attention node: in and out [1, kv_heads, length, head_dim], float32. Returns its names. */
export function cacheOf(draft: GraphDraft, node: GraphNode, length: number): typeof CACHE_NAMES {
  const layer = String(integer(node, 'layer'));
  const names = { ...CACHE_NAMES };
  for (const key of Object.keys(names) as (keyof typeof names)[]) names[key] = names[key].replace('%d', layer);
  const type: ElementType = 'FLOAT';
  const shape = (width: string) => [1, integer(node, 'kv_heads'), length, integer(node, width)];
  draft.input(names.pastKey, type, shape('head_dim'));
  draft.input(names.pastValue, type, shape('v_head_dim'));
  draft.output(names.presentKey, type, shape('head_dim'));
  draft.output(names.presentValue, type, shape('v_head_dim'));
  return names;
}
