import type { Tensors } from './checkpoint.js';
import { best, gateLogits, mixture, normalized, softmax } from './experts.js';
import { inverseFrequencies, rmsNorm, rotateHalf } from './float64.js';
import {
  type GroupedResult,
  type GroupedSettings,
  grouped,
  mlp,
  nearest,
  output,
  preNorm,
  threeOf,
} from './grouped.js';

export interface Qwen3MoeSettings extends GroupedSettings {
  moe_intermediate_size: number;
  num_experts: number;
  num_experts_per_tok: number;
  norm_topk_prob: boolean;
  decoder_sparse_step: number;
  mlp_only_layers: number[];
  attention_bias: boolean;
  use_sliding_window: boolean;
  sliding_window: number;
}

/** Qwen2MoeDecoderLayer, which Qwen3MoeDecoderLayer is. */
export const hasExperts = (settings: Qwen3MoeSettings, layer: number): boolean =>
  !settings.mlp_only_layers.includes(layer) &&
  settings.num_experts > 0 &&
  (layer + 1) % settings.decoder_sparse_step === 0;

/**
 * Qwen3-MoE in float64 after transformers' src/transformers/models/qwen3_moe/modular_qwen3_moe.py at
 * 00eb1166685205e8b2c75ab33eee83dc77b18fca: a norm over each head of q and k, the window of its config in every layer.
 */
export function qwen3Moe(settings: Qwen3MoeSettings, tensors: Tensors, ids: number[]): GroupedResult {
  const frequencies = inverseFrequencies(settings.rope_theta, settings.head_dim);
  let margin = Infinity;
  const logits = preNorm(
    settings,
    tensors,
    ids,
    (x, path) => {
      const attended = grouped(settings, {
        window: settings.use_sliding_window ? settings.sliding_window : 0,
        headNorm: (head, which) => rmsNorm(head, tensors.vector(`${path}.${which}_norm.weight`), settings.rms_norm_eps),
        turn: (head) => rotateHalf(head, frequencies),
        qkv: threeOf(x, tensors, path, settings.attention_bias),
      });
      return output(attended, tensors, path, settings.attention_bias);
    },
    (x, path, layer) => {
      if (!hasExperts(settings, layer)) return mlp(x, tensors, `${path}.mlp`);
      const choices = gateLogits(x, tensors, `${path}.mlp.gate`).map((row) => {
        const choice = best(softmax(row), settings.num_experts_per_tok);
        return settings.norm_topk_prob ? normalized(choice) : choice;
      });
      margin = nearest(margin, choices);
      return mixture(x, choices, tensors, `${path}.mlp.experts`);
    },
  );
  return { logits, margin };
}
