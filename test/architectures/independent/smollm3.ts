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
  silu,
} from './float64.js';

/**
 * SmolLM3 in float64 after transformers' src/transformers/models/smollm3/modeling_smollm3.py at
 * 00d4b3d2142cb4ced2f51b90614b5d26bc045015 (configuration_smollm3.py at 008e574391258935f3ecc3035c882e73bbcac419):
 * SmolLM3Attention rotates only where no_rope_layers is 1, which by default is 0 every no_rope_layer_interval layers.
 */
export function smollm3(config: Record<string, number>, tensors: Tensors, ids: number[]): Matrix {
  const { hidden_size, num_attention_heads: heads, num_key_value_heads: kvHeads, rms_norm_eps: eps } = config;
  const size = hidden_size / heads;
  const frequencies = inverseFrequencies(config.rope_theta, size);
  const [matrix, vector] = [tensors.matrix, tensors.vector];
  const table = matrix('model.embed_tokens.weight');
  let hidden = ids.map((id) => table[id]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const usesRope = (layer + 1) % config.no_rope_layer_interval !== 0;
    const turned = (head: Matrix) => (usesRope ? rotateHalf(head, frequencies) : head);
    const x = rmsNorm(hidden, vector(`${path}.input_layernorm.weight`), eps);
    const [q, k, v] = ['q', 'k', 'v'].map((which) => linear(x, matrix(`${path}.self_attn.${which}_proj.weight`)));
    const attended = Array.from({ length: heads }, (_, head) => {
      const kv = Math.floor(head / (heads / kvHeads));
      const of = (value: Matrix, index: number) => columns(value, index * size, (index + 1) * size);
      return attend(turned(of(q, head)), turned(of(k, kv)), of(v, kv), size ** -0.5, 0);
    });
    hidden = add(hidden, linear(joined(attended), matrix(`${path}.self_attn.o_proj.weight`)));
    const [gate, up, down] = ['gate', 'up', 'down'].map((which) => matrix(`${path}.mlp.${which}_proj.weight`));
    const normed = rmsNorm(hidden, vector(`${path}.post_attention_layernorm.weight`), eps);
    hidden = add(hidden, gatedMlp(normed, gate, up, down, silu));
  }
  return linear(rmsNorm(hidden, vector('model.norm.weight'), eps), table);
}
