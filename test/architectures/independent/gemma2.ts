import type { Tensors } from './checkpoint.js';
import { add, geluTanh, inverseFrequencies, linear, type Matrix, rmsNorm, rotateHalf, scaled } from './float64.js';
import { type GroupedResult, type GroupedSettings, grouped, mlp, output, threeOf } from './grouped.js';

/**
 * Gemma 2 in float64 after transformers' src/transformers/models/gemma2/modular_gemma2.py at
 * 006e86931247d7bacf94ad00ada1fb6baf11e94b: embeddings times sqrt(hidden_size), gains less one, four norms a layer,
 * windows in the layers of even index, caps by tanh on scores and logits.
 */
export function gemma2(
  settings: GroupedSettings & {
    query_pre_attn_scalar: number;
    attn_logit_softcapping: number | null;
    final_logit_softcapping: number | null;
    sliding_window: number;
    attention_bias: boolean;
  },
  tensors: Tensors,
  ids: number[],
): GroupedResult {
  const frequencies = inverseFrequencies(settings.rope_theta, settings.head_dim);
  const table = tensors.matrix('model.embed_tokens.weight');
  const norm = (x: Matrix, name: string) =>
    rmsNorm(
      x,
      tensors.vector(`${name}.weight`).map((gain) => 1 + gain),
      settings.rms_norm_eps,
    );
  let hidden = scaled(
    ids.map((id) => table[id]),
    Math.sqrt(settings.hidden_size),
  );
  for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const attended = grouped(settings, {
      window: layer % 2 === 0 ? settings.sliding_window : 0,
      scale: settings.query_pre_attn_scalar ** -0.5,
      cap: settings.attn_logit_softcapping ?? 0,
      turn: (head) => rotateHalf(head, frequencies),
      qkv: threeOf(norm(hidden, `${path}.input_layernorm`), tensors, `${path}.self_attn`, settings.attention_bias),
    });
    const branch = output(attended, tensors, `${path}.self_attn`, settings.attention_bias);
    hidden = add(hidden, norm(branch, `${path}.post_attention_layernorm`));
    const fed = mlp(norm(hidden, `${path}.pre_feedforward_layernorm`), tensors, `${path}.mlp`, geluTanh);
    hidden = add(hidden, norm(fed, `${path}.post_feedforward_layernorm`));
  }
  const logits = linear(norm(hidden, 'model.norm'), table);
  const cap = settings.final_logit_softcapping;
  return { logits: cap ? logits.map((row) => row.map((x) => cap * Math.tanh(x / cap))) : logits, margin: Infinity };
}
