import type { Tensors } from './checkpoint.js';
import { columns, gatedMlp, inverseFrequencies, linear, type Matrix, rotateHalf, scaled, silu } from './float64.js';
import { type GroupedResult, type GroupedSettings, grouped, output, preNorm } from './grouped.js';

/**
 * Phi-3 in float64 after transformers' src/transformers/models/phi3/modular_phi3.py at
 * 06053b84c14d72e9789fbf27844a75aa89b3ded7: qkv_proj and gate_up_proj are cut by columns, the first part of each head
 * is rotated. longrope as `_compute_longrope_parameters` of modeling_rope_utils.py (release 5) for short texts.
 */
export function phi3(
  settings: GroupedSettings & {
    partial_rotary_factor: number;
    sliding_window: number | null;
    max_position_embeddings: number;
    longrope: { short_factor: number[]; original_max_position_embeddings: number } | null;
  },
  tensors: Tensors,
  ids: number[],
): GroupedResult {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size, longrope } = settings;
  const rotated = Math.floor(size * settings.partial_rotary_factor);
  const frequencies = inverseFrequencies(settings.rope_theta, rotated).map((each, i) =>
    longrope ? each / longrope.short_factor[i] : each,
  );
  const original = longrope?.original_max_position_embeddings ?? settings.max_position_embeddings;
  const stretch = settings.max_position_embeddings / original;
  const factor = longrope && stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1;
  const turn = (head: Matrix) => {
    const turned = scaled(rotateHalf(columns(head, 0, rotated), frequencies), factor);
    return turned.map((row, i) => [...row, ...head[i].slice(rotated)]);
  };
  const [q, kv] = [heads * size, kvHeads * size];
  const logits = preNorm(
    settings,
    tensors,
    ids,
    (x, path) => {
      const all = linear(x, tensors.matrix(`${path}.qkv_proj.weight`));
      const qkv = [columns(all, 0, q), columns(all, q, q + kv), columns(all, q + kv, q + 2 * kv)];
      return output(grouped(settings, { window: settings.sliding_window ?? 0, turn, qkv }), tensors, path);
    },
    (x, path) => {
      const both = tensors.matrix(`${path}.mlp.gate_up_proj.weight`);
      const inner = settings.intermediate_size;
      return gatedMlp(x, both.slice(0, inner), both.slice(inner), tensors.matrix(`${path}.mlp.down_proj.weight`), silu);
    },
  );
  return { logits, margin: Infinity };
}
