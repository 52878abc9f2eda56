import type { Tensors } from './checkpoint.js';
import {
  add,
  attend,
  columns,
  gatedMlp,
  inverseFrequencies,
  joined,
  linear,
  type Matrix,
  rmsNorm,
  rotateHalf,
  scaled,
  silu,
} from './float64.js';

/**
 * Granite in float64 after transformers' src/transformers/models/granite/modeling_granite.py at 00aca8155c457c087b7a14160f335fe8e40afc0c:
 * GraniteModel.forward multiplies the embeddings, GraniteAttention scores by attention_multiplier, GraniteDecoderLayer
 * adds each branch times residual_multiplier, GraniteForCausalLM divides the logits.
 */
export function granite(config: Record<string, number>, tensors: Tensors, ids: number[]): Matrix {
  const { hidden_size, num_attention_heads: heads, num_key_value_heads: kvHeads, rms_norm_eps: eps } = config;
  const size = hidden_size / heads;
  const frequencies = inverseFrequencies(config.rope_theta, size);
  const [matrix, vector] = [tensors.matrix, tensors.vector];
  let hidden = scaled(
    ids.map((id) => matrix('model.embed_tokens.weight')[id]),
    config.embedding_multiplier,
  );
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const x = rmsNorm(hidden, vector(`${path}.input_layernorm.weight`), eps);
    const [q, k, v] = ['q', 'k', 'v'].map((which) => linear(x, matrix(`${path}.self_attn.${which}_proj.weight`)));
    const attended = Array.from({ length: heads }, (_, head) => {
      const kv = Math.floor(head / (heads / kvHeads));
      const of = (value: Matrix, index: number) => columns(value, index * size, (index + 1) * size);
      const [query, key] = [rotateHalf(of(q, head), frequencies), rotateHalf(of(k, kv), frequencies)];
      return attend(query, key, of(v, kv), config.attention_multiplier, 0);
    });
    const branch = linear(joined(attended), matrix(`${path}.self_attn.o_proj.weight`));
    hidden = add(hidden, scaled(branch, config.residual_multiplier));
    const [gate, up, down] = ['gate', 'up', 'down'].map((which) => matrix(`${path}.mlp.${which}_proj.weight`));
    const fed = gatedMlp(rmsNorm(hidden, vector(`${path}.post_attention_layernorm.weight`), eps), gate, up, down, silu);
    hidden = add(hidden, scaled(fed, config.residual_multiplier));
  }
  const normed = rmsNorm(hidden, vector('model.norm.weight'), eps);
  return scaled(linear(normed, matrix('lm_head.weight')), 1 / config.logits_scaling);
}
