import type { Tensors } from './checkpoint.js';
import {
  add,
  attend,
  columns,
  gatedMlp,
  geluTanh,
  inverseFrequencies,
  joined,
  linear,
  type Matrix,
  rmsNorm,
  rotateHalf,
  scaled,
} from './float64.js';

/**
 * Gemma 3's text model in float64 after transformers' src/transformers/models/gemma3/modeling_gemma3.py at
 * 0018aa647bb13801f061e2d1027c326f531b59fb: Gemma3RMSNorm multiplies by 1 + weight, also over each head of q and k;
 * Gemma3DecoderLayer has four norms; layers with a window rotate by rope_local_base_freq, every
 * sliding_window_pattern-th layer sees all and rotates by rope_theta with its frequencies divided by the linear factor.
 */
export function gemma3Text(config: Record<string, number>, tensors: Tensors, ids: number[]): Matrix {
  const { head_dim: size, num_attention_heads: heads, num_key_value_heads: kvHeads, rms_norm_eps: eps } = config;
  const { matrix } = tensors;
  const norm = (x: Matrix, name: string) =>
    rmsNorm(
      x,
      tensors.vector(`${name}.weight`).map((gain) => 1 + gain),
      eps,
    );
  const local = inverseFrequencies(config.rope_local_base_freq, size);
  const global = inverseFrequencies(config.rope_theta, size).map((each) => each / config.rope_factor);
  const table = matrix('model.embed_tokens.weight');
  let hidden = scaled(
    ids.map((id) => table[id]),
    Math.sqrt(config.hidden_size),
  );
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const slides = (layer + 1) % config.sliding_window_pattern !== 0;
    const frequencies = slides ? local : global;
    const x = norm(hidden, `${path}.input_layernorm`);
    const [q, k, v] = ['q', 'k', 'v'].map((which) => linear(x, matrix(`${path}.self_attn.${which}_proj.weight`)));
    const attended = Array.from({ length: heads }, (_, head) => {
      const kv = Math.floor(head / (heads / kvHeads));
      const of = (value: Matrix, index: number) => columns(value, index * size, (index + 1) * size);
      const query = rotateHalf(norm(of(q, head), `${path}.self_attn.q_norm`), frequencies);
      const key = rotateHalf(norm(of(k, kv), `${path}.self_attn.k_norm`), frequencies);
      return attend(query, key, of(v, kv), config.query_pre_attn_scalar ** -0.5, slides ? config.sliding_window : 0);
    });
    const branch = linear(joined(attended), matrix(`${path}.self_attn.o_proj.weight`));
    hidden = add(hidden, norm(branch, `${path}.post_attention_layernorm`));
    const [gate, up, down] = ['gate', 'up', 'down'].map((which) => matrix(`${path}.mlp.${which}_proj.weight`));
    const fed = gatedMlp(norm(hidden, `${path}.pre_feedforward_layernorm`), gate, up, down, geluTanh);
    hidden = add(hidden, norm(fed, `${path}.post_feedforward_layernorm`));
  }
  return linear(norm(hidden, 'model.norm'), table);
}
