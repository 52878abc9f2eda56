import type { Tensors } from './checkpoint.js';
import { best, bestOfGroups, type Choice, gateLogits, mixture, normalized, softmax } from './experts.js';
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
  rotatePairs,
  scaled,
  silu,
} from './float64.js';

/** What a config says, by config.json's names; `yarn` is its rope where it has one. */
export interface DeepseekSettings {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  moe_intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  q_lora_rank: number | null;
  kv_lora_rank: number;
  qk_nope_head_dim: number;
  qk_rope_head_dim: number;
  v_head_dim: number;
  n_routed_experts: number;
  n_shared_experts: number | null;
  num_experts_per_tok: number;
  n_group: number;
  topk_group: number;
  first_k_dense_replace: number;
  moe_layer_freq: number;
  routed_scaling_factor: number;
  rms_norm_eps: number;
  rope_theta: number;
  attention_bias: boolean;
  tie_word_embeddings: boolean;
  yarn: Yarn | null;
}

export interface Yarn {
  factor: number;
  original_max_position_embeddings: number;
  beta_fast: number;
  beta_slow: number;
  mscale?: number;
  mscale_all_dim?: number;
}

/** How the two versions differ. */
interface Version {
  interleaved: boolean;
  route: (logits: number[], correction: number[]) => Choice;
}

/** How near the nearest decision of a router was, besides the logits. */
export interface DeepseekResult {
  logits: Matrix;
  margin: number;
}

const magnitude = (factor: number, mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);

/**
 * `_compute_yarn_parameters` of transformers' src/transformers/modeling_rope_utils.py (release 5, which takes `factor`
 * as it stands), and the factor on the scores of DeepseekV3Attention, which the class of V2 leaves out although its
 * checkpoints were trained with it.
 */
function rope(settings: DeepseekSettings): { frequencies: number[]; attention: number; scale: number } {
  const dim = settings.qk_rope_head_dim;
  const base = settings.rope_theta;
  const plain = inverseFrequencies(base, dim);
  const natural = (settings.qk_nope_head_dim + dim) ** -0.5;
  const { yarn } = settings;
  if (!yarn) return { frequencies: plain, attention: 1, scale: natural };
  const correction = (rotations: number) =>
    (dim * Math.log(yarn.original_max_position_embeddings / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(Math.floor(correction(yarn.beta_fast)), 0);
  let high = Math.min(Math.ceil(correction(yarn.beta_slow)), dim - 1);
  if (low === high) high += 0.001;
  const frequencies = plain.map((frequency, i) => {
    const extrapolated = 1 - Math.min(Math.max((i - low) / (high - low), 0), 1);
    return (frequency / yarn.factor) * (1 - extrapolated) + frequency * extrapolated;
  });
  const { factor, mscale, mscale_all_dim: allDim } = yarn;
  const attention = mscale && allDim ? magnitude(factor, mscale) / magnitude(factor, allDim) : magnitude(factor, 1);
  return { frequencies, attention, scale: natural * (allDim ? magnitude(factor, allDim) ** 2 : 1) };
}

/** DeepseekV3Attention: keys and values of every head from the compressed vector, one rotated key for all heads. */
function attention(x: Matrix, path: string, settings: DeepseekSettings, tensors: Tensors, version: Version): Matrix {
  const { qk_nope_head_dim: nope, qk_rope_head_dim: dim, v_head_dim: width, kv_lora_rank: latent } = settings;
  const project = (value: Matrix, name: string, biased = false) =>
    linear(
      value,
      tensors.matrix(`${path}.${name}.weight`),
      biased && settings.attention_bias ? tensors.vector(`${path}.${name}.bias`) : undefined,
    );
  const norm = (value: Matrix, name: string) => rmsNorm(value, tensors.vector(`${path}.${name}.weight`), 1e-6);
  const q =
    settings.q_lora_rank === null
      ? project(x, 'q_proj')
      : project(norm(project(x, 'q_a_proj', true), 'q_a_layernorm'), 'q_b_proj');
  const compressed = project(x, 'kv_a_proj_with_mqa', true);
  const kv = project(norm(columns(compressed, 0, latent), 'kv_a_layernorm'), 'kv_b_proj');
  const { frequencies, attention: factor, scale } = rope(settings);
  const turned = (value: Matrix) =>
    scaled((version.interleaved ? rotatePairs : rotateHalf)(value, frequencies), factor);
  const sharedKey = turned(columns(compressed, latent, latent + dim));
  const heads = Array.from({ length: settings.num_attention_heads }, (_, head) => {
    const query = columns(q, head * (nope + dim), (head + 1) * (nope + dim));
    const pair = columns(kv, head * (nope + width), (head + 1) * (nope + width));
    const beside = (a: Matrix, b: Matrix) => a.map((row, i) => [...row, ...b[i]]);
    return attend(
      beside(columns(query, 0, nope), turned(columns(query, nope, nope + dim))),
      beside(columns(pair, 0, nope), sharedKey),
      columns(pair, nope, nope + width),
      scale,
      0,
    );
  });
  return project(joined(heads), 'o_proj', true);
}

function model(settings: DeepseekSettings, tensors: Tensors, ids: number[], version: Version): DeepseekResult {
  const table = tensors.matrix('model.embed_tokens.weight');
  const eps = settings.rms_norm_eps;
  let margin = Infinity;
  let hidden = ids.map((id) => table[id]);
  const mlp = (x: Matrix, path: string) => {
    const [gate, up, down] = ['gate', 'up', 'down'].map((which) => tensors.matrix(`${path}.${which}_proj.weight`));
    return gatedMlp(x, gate, up, down, silu);
  };
  for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const norm = (x: Matrix, name: string) => rmsNorm(x, tensors.vector(`${path}.${name}.weight`), eps);
    hidden = add(hidden, attention(norm(hidden, 'input_layernorm'), `${path}.self_attn`, settings, tensors, version));
    const x = norm(hidden, 'post_attention_layernorm');
    if (layer < settings.first_k_dense_replace || layer % settings.moe_layer_freq !== 0) {
      hidden = add(hidden, mlp(x, `${path}.mlp`));
      continue;
    }
    const correction = tensors.has(`${path}.mlp.gate.e_score_correction_bias`)
      ? tensors.vector(`${path}.mlp.gate.e_score_correction_bias`)
      : [];
    const choices = gateLogits(x, tensors, `${path}.mlp.gate`).map((row) => version.route(row, correction));
    margin = Math.min(margin, ...choices.map((each) => each.margin));
    hidden = add(hidden, mixture(x, choices, tensors, `${path}.mlp.experts`));
    if (settings.n_shared_experts) hidden = add(hidden, mlp(x, `${path}.mlp.shared_experts`));
  }
  const normed = rmsNorm(hidden, tensors.vector('model.norm.weight'), eps);
  return { logits: linear(normed, settings.tie_word_embeddings ? table : tensors.matrix('lm_head.weight')), margin };
}

const times = (choice: Choice, factor: number): Choice => ({
  ...choice,
  weights: choice.weights.map((each) => each * factor),
});

/**
 * DeepSeek-V2 in float64 after transformers' src/transformers/models/deepseek_v2/modular_deepseek_v2.py at
 * 000c33fdfde12e1ffafbfcdb3c926df5727a00b6: DeepseekV2Moe.route_tokens_to_experts, DeepseekV2Attention with
 * apply_rotary_emb. moe_layer_freq is the authors' (modeling_deepseek.py); transformers has experts in every layer.
 */
export function deepseekV2(
  settings: DeepseekSettings & { topk_method: 'greedy' | 'group_limited_greedy' },
  tensors: Tensors,
  ids: number[],
): DeepseekResult {
  const { num_experts_per_tok: count, n_group: groups, topk_group: chosen, routed_scaling_factor: factor } = settings;
  return model(settings, tensors, ids, {
    interleaved: true,
    route: (logits) => {
      const scores = softmax(logits);
      if (settings.topk_method === 'greedy') return times(best(scores, count), factor);
      return times(
        bestOfGroups(scores, scores, count, groups, chosen, (group) => Math.max(...group)),
        factor,
      );
    },
  });
}

/**
 * DeepSeek-V3 in float64 after transformers' src/transformers/models/deepseek_v3/modeling_deepseek_v3.py at
 * 00b676f8f0489b88652a31d70751cc540dd06305 (DeepseekV3TopkRouter, DeepseekV3Attention), groups left out masked with
 * -inf as release 5.12.1 and the authors' inference/model.py do.
 */
export function deepseekV3(
  settings: DeepseekSettings & { norm_topk_prob: boolean; rope_interleave: boolean },
  tensors: Tensors,
  ids: number[],
): DeepseekResult {
  const { num_experts_per_tok: count, n_group: groups, topk_group: chosen, routed_scaling_factor: factor } = settings;
  return model(settings, tensors, ids, {
    interleaved: settings.rope_interleave,
    route: (logits, correction) => {
      const scores = logits.map((logit) => 1 / (1 + Math.exp(-logit)));
      const choice = scores.map((score, i) => score + correction[i]);
      const twoBest = (group: number[]) => {
        const [first, second] = [...group].sort((a, b) => b - a);
        return first + second;
      };
      const chosenExperts = bestOfGroups(choice, scores, count, groups, chosen, twoBest);
      return times(settings.norm_topk_prob ? normalized(chosenExperts, 1e-20) : chosenExperts, factor);
    },
  });
}

/** Shapes of the checkpoint's tensors. */
export function deepseekShapes(settings: DeepseekSettings, corrected: boolean): Record<string, number[]> {
  const { hidden_size: hidden, vocab_size: vocabulary, num_attention_heads: heads } = settings;
  const { qk_nope_head_dim: nope, qk_rope_head_dim: rope, v_head_dim: width, kv_lora_rank: latent } = settings;
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [vocabulary, hidden] };
  const mlp = (path: string, inner: number) => {
    shapes[`${path}.gate_proj.weight`] = [inner, hidden];
    shapes[`${path}.up_proj.weight`] = [inner, hidden];
    shapes[`${path}.down_proj.weight`] = [hidden, inner];
  };
  for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const attn = `${path}.self_attn`;
    if (settings.q_lora_rank === null) shapes[`${attn}.q_proj.weight`] = [heads * (nope + rope), hidden];
    else {
      shapes[`${attn}.q_a_proj.weight`] = [settings.q_lora_rank, hidden];
      shapes[`${attn}.q_a_layernorm.weight`] = [settings.q_lora_rank];
      shapes[`${attn}.q_b_proj.weight`] = [heads * (nope + rope), settings.q_lora_rank];
    }
    shapes[`${attn}.kv_a_proj_with_mqa.weight`] = [latent + rope, hidden];
    shapes[`${attn}.kv_a_layernorm.weight`] = [latent];
    shapes[`${attn}.kv_b_proj.weight`] = [heads * (nope + width), latent];
    shapes[`${attn}.o_proj.weight`] = [hidden, heads * width];
    if (settings.attention_bias) {
      if (settings.q_lora_rank !== null) shapes[`${attn}.q_a_proj.bias`] = [settings.q_lora_rank];
      shapes[`${attn}.kv_a_proj_with_mqa.bias`] = [latent + rope];
      shapes[`${attn}.o_proj.bias`] = [hidden];
    }
    shapes[`${path}.input_layernorm.weight`] = [hidden];
    shapes[`${path}.post_attention_layernorm.weight`] = [hidden];
    if (layer < settings.first_k_dense_replace || layer % settings.moe_layer_freq !== 0) {
      mlp(`${path}.mlp`, settings.intermediate_size);
      continue;
    }
    shapes[`${path}.mlp.gate.weight`] = [settings.n_routed_experts, hidden];
    if (corrected) shapes[`${path}.mlp.gate.e_score_correction_bias`] = [settings.n_routed_experts];
    for (let expert = 0; expert < settings.n_routed_experts; expert++) {
      mlp(`${path}.mlp.experts.${expert}`, settings.moe_intermediate_size);
    }
    const shared = settings.n_shared_experts ?? 0;
    if (shared > 0) mlp(`${path}.mlp.shared_experts`, shared * settings.moe_intermediate_size);
  }
  shapes['model.norm.weight'] = [hidden];
  if (!settings.tie_word_embeddings) shapes['lm_head.weight'] = [vocabulary, hidden];
  return shapes;
}
