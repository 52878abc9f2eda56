import { InvalidInputError } from '../../core/errors.js';
import type { GgufMetadata } from '../../core/gguf.js';
import type { JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';
import { llama3Factors, yarnMagnitude } from '../../core/rope-factors.js';
import type { GgufHeader } from './reader.js';

/** Transformers' names of architectures by ours. */
const CLASSES: Record<string, string> = own({
  llama: 'LlamaForCausalLM',
  mixtral: 'MixtralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  qwen3_moe: 'Qwen3MoeForCausalLM',
  phi3: 'Phi3ForCausalLM',
  gemma2: 'Gemma2ForCausalLM',
  gemma3_text: 'Gemma3ForCausalLM',
  granite: 'GraniteForCausalLM',
  smollm3: 'SmolLM3ForCausalLM',
  deepseek_v2: 'DeepseekV2ForCausalLM',
  deepseek_v3: 'DeepseekV3ForCausalLM',
});

/** Architectures that have the name of their family, and those that have another. */
const SAME = ['qwen2', 'qwen3', 'phi3', 'gemma2', 'granite', 'smollm3'];
const OTHERS: Record<string, string> = { qwen3moe: 'qwen3_moe', gemma3: 'gemma3_text' };

type Values = (name: string) => number[] | undefined;

/** Reads typed values of one architecture's metadata. */
class MetadataReader {
  constructor(
    readonly file: string,
    readonly metadata: GgufMetadata,
    readonly prefix: string,
  ) {}

  find(key: string): number | boolean | string | undefined {
    const full = this.prefix === '' ? key : `${this.prefix}.${key}`;
    const value = Object.hasOwn(this.metadata, full) ? this.metadata[full] : undefined;
    if (!value) return undefined;
    if ('value' in value) return value.value;
    // a value for each layer, which is one where all are the same
    const [first] = value.values;
    if (value.values.length > 0 && value.values.every((each) => each === first)) return first;
    throw new InvalidInputError(
      `${this.file}: ${full} differs from layer to layer, which no architecture here has.`,
      'start from the original checkpoint.',
    );
  }

  number(key: string): number {
    const value = this.find(key);
    if (typeof value === 'number') return decimal(value);
    throw new InvalidInputError(
      `${this.file}: ${this.prefix}.${key} is ${JSON.stringify(value ?? null)}; needed is a number.`,
      'download this file again.',
    );
  }

  /** A list of flags, one a layer. */
  flags(key: string): boolean[] | undefined {
    const value = this.metadata[`${this.prefix}.${key}`];
    return value && 'values' in value ? value.values.map(Boolean) : undefined;
  }

  optional(key: string): number | undefined {
    return this.find(key) === undefined ? undefined : this.number(key);
  }
}

/** The shortest decimal that is this float32: 1e-6 for 9.99999997e-7. */
function decimal(value: number): number {
  if (Number.isInteger(value) || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/**
 * config.json of a model whose settings stand in GGUF metadata. Throws InvalidInputError for an architecture that is
 * not known here and for settings that it does not have.
 */
export function configOf(file: string, { metadata, tensors }: GgufHeader, values: Values): JsonObject {
  const general = new MetadataReader(file, metadata, '');
  const arch = general.find('general.architecture');
  const reader = new MetadataReader(file, metadata, String(arch));
  const type = modelType(reader, arch);
  if (!type) {
    throw new InvalidInputError(
      `${file}: general.architecture is ${JSON.stringify(arch ?? null)}; known here are llama, ${[...SAME, ...Object.keys(OTHERS)].join(', ')}, deepseek2.`,
      'start from the original checkpoint.',
    );
  }
  const embedding = tensors.find(({ name }) => name === 'token_embd.weight');
  const has = (name: string) => tensors.some((tensor) => tensor.name === name);
  const bias = (name: string) => has(`blk.0.${name}.bias`);
  const heads = reader.number('attention.head_count');
  const hidden = reader.number('embedding_length');
  const config: JsonObject = {
    architectures: [CLASSES[type]],
    model_type: type,
    vocab_size: embedding?.shape[0] ?? reader.number('vocab_size'),
    hidden_size: hidden,
    intermediate_size: reader.number('feed_forward_length'),
    num_hidden_layers: reader.number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: arch === 'deepseek2' ? heads : (reader.optional('attention.head_count_kv') ?? heads),
    max_position_embeddings: reader.number('context_length'),
    rms_norm_eps: reader.number('attention.layer_norm_rms_epsilon'),
    tie_word_embeddings: !has('output.weight'),
    torch_dtype: torchDtype(tensors),
    ...rope(reader, values, type),
    ...specialTokens(general),
  };
  if (arch !== 'deepseek2') config.head_dim = reader.optional('attention.key_length') ?? hidden / heads;
  if (['llama', 'granite'].includes(type)) {
    Object.assign(config, { attention_bias: bias('attn_q'), mlp_bias: bias('ffn_gate') });
  }
  if (type === 'gemma2' || type === 'gemma3_text') Object.assign(config, gemma(reader, config));
  if (type === 'granite') Object.assign(config, granite(reader, config));
  if (type === 'phi3') {
    config.sliding_window = reader.optional('attention.sliding_window') || null;
    const rotated = reader.optional('rope.dimension_count') ?? (config.head_dim as number);
    if (rotated !== config.head_dim) config.partial_rotary_factor = rotated / (config.head_dim as number);
  }
  return { ...config, ...experts(reader, type) };
}

function modelType(reader: MetadataReader, arch: unknown): string | undefined {
  if (arch === 'llama') return reader.optional('expert_count') ? 'mixtral' : 'llama';
  // deepseek-v3 scores experts with sigmoids
  if (arch === 'deepseek2') return reader.optional('expert_gating_func') === 2 ? 'deepseek_v3' : 'deepseek_v2';
  if (typeof arch !== 'string') return undefined;
  return SAME.includes(arch) ? arch : Object.hasOwn(OTHERS, arch) ? OTHERS[arch] : undefined;
}

/** What weights are computed in: the commonest float type, bfloat16 where most are quantized. */
function torchDtype(tensors: GgufHeader['tensors']): string {
  const matrices = tensors.filter(({ shape }) => shape.length > 1);
  const count = (type: string) => matrices.filter((tensor) => tensor.type === type).length;
  if (count('f16') > matrices.length / 2) return 'float16';
  return count('f32') > matrices.length / 2 ? 'float32' : 'bfloat16';
}

function specialTokens(general: MetadataReader): JsonObject {
  const keys: JsonObject = {};
  for (const [key, name] of [
    ['bos_token_id', 'bos_token_id'],
    ['eos_token_id', 'eos_token_id'],
    ['pad_token_id', 'padding_token_id'],
  ]) {
    const id = general.find(`tokenizer.ggml.${name}`);
    if (typeof id === 'number') keys[key] = id;
  }
  return keys;
}

function rope(reader: MetadataReader, values: Values, type: string): JsonObject {
  const theta = reader.optional('rope.freq_base') ?? 10000;
  const scaling = reader.find('rope.scaling.type');
  const factors = values('rope_freqs.weight');
  const original = reader.optional('rope.scaling.original_context_length');
  const keys: JsonObject = { rope_theta: theta };
  if (factors) keys.rope_scaling = llama3Rope(reader, factors, theta);
  else if (type === 'phi3') {
    keys.original_max_position_embeddings = original ?? reader.number('context_length');
    const [long, short] = [values('rope_factors_long.weight'), values('rope_factors_short.weight')];
    if (long && short) {
      keys.rope_scaling = { type: 'longrope', long_factor: long.map(decimal), short_factor: short.map(decimal) };
    }
  } else if (scaling === 'linear')
    keys.rope_scaling = { rope_type: 'linear', factor: reader.number('rope.scaling.factor') };
  else if (scaling === 'yarn') keys.rope_scaling = yarn(reader, original);
  return keys;
}

function yarn(reader: MetadataReader, original: number | undefined): JsonObject {
  const scale: JsonObject = { rope_type: 'yarn', factor: reader.number('rope.scaling.factor') };
  if (original !== undefined) scale.original_max_position_embeddings = original;
  const names = { beta_fast: 'yarn_beta_fast', beta_slow: 'yarn_beta_slow', attention_factor: 'yarn_attn_factor' };
  const ratio = reader.optional('rope.scaling.attn_factor');
  for (const [key, name] of Object.entries(names)) {
    const value = reader.optional(`rope.scaling.${name}`);
    if (value !== undefined) scale[key] = value;
  }
  // the ratio is a float32: no more digits than it has
  if (ratio !== undefined) {
    scale.attention_factor = Number((ratio * yarnMagnitude(scale.factor as number)).toPrecision(7));
  }
  const log = reader.optional('rope.scaling.yarn_log_multiplier');
  // DeepSeek's two scales are equal, so that cosines and sines keep their length
  if (log !== undefined) scale.mscale = scale.mscale_all_dim = decimal(Math.fround(log * 10));
  return scale;
}

/** The settings of llama3's rope that give these factors; only the original length and the largest factor vary. */
function llama3Rope(reader: MetadataReader, factors: number[], theta: number): JsonObject {
  const factor = Math.max(...factors);
  const dim = 2 * factors.length;
  const lengths = [8192, ...Array.from({ length: reader.number('context_length') }, (_, i) => i + 1)];
  for (const original_max_position_embeddings of lengths) {
    const settings = { factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings };
    const made = llama3Factors(settings, theta, dim);
    if (made.every((each, i) => Math.abs(Math.fround(each) - factors[i]) <= 1e-5 * factors[i])) {
      return { rope_type: 'llama3', ...settings };
    }
    if (original_max_position_embeddings > 1 << 17) break;
  }
  throw new InvalidInputError(
    `${reader.file}: rope_freqs.weight are no factors of the rope type "llama3".`,
    'start from the original checkpoint.',
  );
}

/** Layers of the largest Gemma 2 and 3, whose scale of scores is another. llama.cpp has no key for it. */
const LARGEST: Record<string, number> = { gemma2: 46, gemma3_text: 62 };

function gemma(reader: MetadataReader, config: JsonObject): JsonObject {
  const type = config.model_type as string;
  const isLargest = config.num_hidden_layers === LARGEST[type];
  const keys: JsonObject = {
    query_pre_attn_scalar: isLargest
      ? Math.floor((config.hidden_size as number) / (config.num_attention_heads as number))
      : (config.head_dim as number),
    hidden_activation: 'gelu_pytorch_tanh',
    ...slidingLayers(reader, config.num_hidden_layers as number, type === 'gemma2' ? 2 : 6),
  };
  if (type === 'gemma2') {
    keys.attn_logit_softcapping = reader.number('attn_logit_softcapping');
    keys.final_logit_softcapping = reader.number('final_logit_softcapping');
    return keys;
  }
  keys.final_logit_softcapping = reader.optional('final_logit_softcapping') ?? null;
  keys.rope_local_base_freq = reader.optional('rope.freq_base_swa') ?? 10000;
  return keys;
}

function slidingLayers(reader: MetadataReader, layers: number, period: number): JsonObject {
  const window = reader.optional('attention.sliding_window') ?? 0;
  const slides = reader.flags('attention.sliding_window_pattern');
  const types = Array.from({ length: layers }, (_, layer) =>
    window > 0 && (slides ? slides[layer] : (layer + 1) % period !== 0) ? 'sliding_attention' : 'full_attention',
  );
  return { sliding_window: window || null, layer_types: types };
}

function granite(reader: MetadataReader, config: JsonObject): JsonObject {
  return {
    attention_multiplier: reader.optional('attention.scale') ?? (config.head_dim as number) ** -0.5,
    embedding_multiplier: reader.optional('embedding_scale') ?? 1,
    residual_multiplier: reader.optional('residual_scale') ?? 1,
    logits_scaling: reader.number('logit_scale'),
  };
}

/** Groups of DeepSeek's published sizes, by their number of experts: files of the time when llama.cpp knew no groups lack them. */
const GROUPS: Record<number, { count: number; used: number }> = {
  160: { count: 8, used: 3 },
  256: { count: 8, used: 4 },
};

function experts(reader: MetadataReader, type: string): JsonObject {
  const count = reader.optional('expert_count');
  if (!count) return {};
  const used = { num_experts_per_tok: reader.number('expert_used_count') };
  if (type === 'mixtral') return { ...used, num_local_experts: count };
  const routed = { ...used, moe_intermediate_size: reader.number('expert_feed_forward_length') };
  if (type === 'qwen3_moe') {
    return { ...routed, num_experts: count, norm_topk_prob: true, decoder_sparse_step: 1, mlp_only_layers: [] };
  }
  const rank = reader.number('attention.kv_lora_rank');
  const isThird = type === 'deepseek_v3';
  const groups = reader.optional('expert_group_count') ?? GROUPS[count]?.count ?? 1;
  return {
    ...routed,
    n_routed_experts: count,
    n_shared_experts: reader.number('expert_shared_count'),
    first_k_dense_replace: reader.number('leading_dense_block_count'),
    moe_layer_freq: 1,
    n_group: groups,
    topk_group: reader.optional('expert_group_used_count') ?? GROUPS[count]?.used ?? 1,
    routed_scaling_factor: reader.optional('expert_weights_scale') ?? 1,
    norm_topk_prob: reader.find('expert_weights_norm') === true,
    scoring_func: isThird ? 'sigmoid' : 'softmax',
    topk_method: isThird ? 'noaux_tc' : groups > 1 ? 'group_limited_greedy' : 'greedy',
    q_lora_rank: reader.optional('attention.q_lora_rank') ?? null,
    kv_lora_rank: rank,
    ...latentHeads(reader, rank),
  };
}

/** Sizes of a head of latent attention. Files from before April 2025 state the head itself, later ones what the cache holds beside it. */
function latentHeads(reader: MetadataReader, rank: number): JsonObject {
  const whole = reader.optional('attention.key_length_mla');
  const rope =
    whole === undefined ? reader.number('rope.dimension_count') : reader.number('attention.key_length') - rank;
  return {
    qk_rope_head_dim: rope,
    qk_nope_head_dim: (whole ?? reader.number('attention.key_length')) - rope,
    v_head_dim: reader.number(whole === undefined ? 'attention.value_length' : 'attention.value_length_mla'),
  };
}
