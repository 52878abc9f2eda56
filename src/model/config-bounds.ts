import type { Checkpoint } from '../core/checkpoint.js';
import { InvalidInputError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import { quoted } from '../core/printable.js';

/** More positions than any model has (10 million): tables of so many rows are drawn. */
const LARGEST_CONTEXT = 1 << 24;
/** Where no tensors are known: more layers and experts, and wider rows, than any model has. */
const WITHOUT_TENSORS = { count: 1 << 12, width: 1 << 24 };
/** Experts of all layers together. */
const LARGEST_EXPERTS = 1 << 20;

const LAYERS = /^(num_hidden_layers|num_nextn_predict_layers|n_layers?)$/;
const EXPERTS = /^(num_experts|num_local_experts|n_routed_experts|n_shared_experts)$/;
const POSITIONS = /^max_position_embeddings$/;
const WIDTHS = /(_size|_dim|_rank|_heads|^head_dim|_groups?)$/;
/** Numbers that are sizes of nothing drawn. */
const NOT_DRAWN = /^(window_size|sliding_window_size|chunk_size|group_size)$/;

/**
 * Refuses a config that asks for more than its tensors can hold, before anything is made of it: a layer has at least a
 * tensor of its own, and no row is wider than the largest tensor has bits. Throws InvalidInputError that names the key.
 */
export function boundConfig(config: JsonObject, tensors: Checkpoint['tensors'], names: readonly string[]): void {
  let largest = 0;
  let widest = 0;
  for (const { nbytes, shape } of tensors.values()) {
    largest = Math.max(largest, nbytes);
    for (const size of shape) widest = Math.max(widest, size);
  }
  const width = tensors.size > 0 ? Math.max(1024, 8 * largest) : WITHOUT_TENSORS.width;
  const count = names.length > 0 ? names.length : WITHOUT_TENSORS.count;
  const bound = (key: string): [most: number, of: string] | undefined => {
    if (LAYERS.test(key)) return [count, `the checkpoint has ${names.length} tensors`];
    if (EXPERTS.test(key)) return [Math.max(count, widest), 'its tensors have no room for so many'];
    if (POSITIONS.test(key)) return [LARGEST_CONTEXT, 'more than any model has'];
    if (WIDTHS.test(key) && !NOT_DRAWN.test(key)) return [width, 'its tensors have no rows as wide as this'];
    return undefined;
  };
  for (const [key, value] of Object.entries(config)) {
    const [most, of] = bound(key) ?? [];
    if (most === undefined || typeof value !== 'number' || value <= most) continue;
    refuse(key, value, most, of as string);
  }
  const at = (pattern: RegExp) =>
    Math.max(
      1,
      ...Object.entries(config).map(([key, value]) => (pattern.test(key) && typeof value === 'number' ? value : 0)),
    );
  const experts = at(EXPERTS) * at(LAYERS);
  if (experts > LARGEST_EXPERTS) refuse('num_experts', experts, LARGEST_EXPERTS, 'counted over all layers');
  const heads = at(/^num_attention_heads$/) * at(/^(head_dim|v_head_dim|qk_nope_head_dim|qk_rope_head_dim)$/);
  if (heads > width) refuse('head_dim', heads, width, 'multiplied by num_attention_heads');
}

function refuse(key: string, found: number, most: number, why: string): never {
  throw new InvalidInputError(
    `config.json: "${key}" is ${quoted(found)}, at most ${most} are possible: ${why}.`,
    'check that config.json and the weights belong to the same model.',
  );
}
