import { InvalidInputError } from '../../core/errors.js';
import type { GgufMetadata, GgufValue } from '../../core/gguf.js';
import type { Json, JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';

const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const f32 = (value: number): GgufValue => ({ type: 'f32', value });
const text = (value: string): GgufValue => ({ type: 'string', value });
const flag = (value: boolean): GgufValue => ({ type: 'bool', value });

/** Version of ggml's formats of blocks (ggml.h, GGML_QNT_VERSION). */
const QUANTIZATION_VERSION = 2;

const number = (config: JsonObject, key: string): number => {
  const value = config[key];
  if (typeof value === 'number') return value;
  throw new InvalidInputError(
    `config.json: "${key}" is ${JSON.stringify(value ?? null)}; needed is a number.`,
    'download config.json again.',
  );
};

/** Numbers of llama.cpp's enum of functions that score experts. */
const GATINGS: Record<string, number> = own({ softmax: 1, sigmoid: 2 });

/**
 * Metadata of a model, as llama.cpp's converter writes it (conversion/*.py): what llama.cpp needs to draw the graph.
 * `config` is complete, its rope in `rope_parameters`. The tokenizer's keys go in between; the two keys that a
 * quantizer rewrites come last, where llama-quantize puts them.
 */
export function ggufMetadata(
  arch: string,
  config: JsonObject,
  tokenizer: GgufMetadata,
  fileType: number,
): GgufMetadata {
  return {
    'general.architecture': text(arch),
    'general.type': text('model'),
    'general.name': text(nameOf(config)),
    ...prefixed(arch, sizes(arch, config)),
    ...prefixed(arch, ropeKeys(config)),
    ...prefixed(arch, expertKeys(arch, config)),
    ...tokenizer,
    'general.quantization_version': u32(QUANTIZATION_VERSION),
    'general.file_type': u32(fileType),
  };
}

/** The model's name where config.json has one, else its family: nothing of the file depends on a path. */
function nameOf(config: JsonObject): string {
  const stated = config._name_or_path;
  const name = typeof stated === 'string' ? stated.split('/').filter(Boolean).at(-1) : undefined;
  return name ?? String(config.model_type);
}

const prefixed = (arch: string, keys: GgufMetadata): GgufMetadata =>
  Object.fromEntries(Object.entries(keys).map(([key, value]) => [`${arch}.${key}`, value]));

function sizes(arch: string, config: JsonObject): GgufMetadata {
  const isLatent = arch === 'deepseek2';
  const keys: GgufMetadata = {
    block_count: u32(number(config, 'num_hidden_layers')),
    context_length: u32(number(config, 'max_position_embeddings')),
    embedding_length: u32(number(config, 'hidden_size')),
    feed_forward_length: u32(number(config, 'intermediate_size')),
    'attention.head_count': u32(number(config, 'num_attention_heads')),
    // latent attention is multi-query attention to llama.cpp: one head of keys and values
    'attention.head_count_kv': u32(isLatent ? 1 : number(config, 'num_key_value_heads')),
    'attention.layer_norm_rms_epsilon': f32(number(config, 'rms_norm_eps')),
    vocab_size: u32(number(config, 'vocab_size')),
  };
  if (isLatent) return { ...keys, ...latentSizes(config) };
  keys['attention.key_length'] = u32(number(config, 'head_dim'));
  keys['attention.value_length'] = u32(number(config, 'head_dim'));
  if (arch === 'phi3') {
    keys['attention.sliding_window'] = u32(typeof config.sliding_window === 'number' ? config.sliding_window : 0);
  }
  if (arch === 'gemma2') {
    keys['attention.sliding_window'] = u32(number(config, 'sliding_window'));
    keys.attn_logit_softcapping = f32(number(config, 'attn_logit_softcapping'));
    keys.final_logit_softcapping = f32(number(config, 'final_logit_softcapping'));
  }
  return keys;
}

function latentSizes(config: JsonObject): GgufMetadata {
  const rank = number(config, 'kv_lora_rank');
  const rope = number(config, 'qk_rope_head_dim');
  return {
    ...(typeof config.q_lora_rank === 'number' ? { 'attention.q_lora_rank': u32(config.q_lora_rank) } : {}),
    'attention.kv_lora_rank': u32(rank),
    'attention.key_length': u32(rank + rope),
    'attention.value_length': u32(rank),
    'attention.key_length_mla': u32(number(config, 'qk_nope_head_dim') + rope),
    'attention.value_length_mla': u32(number(config, 'v_head_dim')),
  };
}

/** Sets a key where config.json has its number. */
const optional = (value: Json | undefined, key: string, as: (value: number) => GgufValue): GgufMetadata =>
  typeof value === 'number' ? { [key]: as(value) } : {};

function ropeKeys(config: JsonObject): GgufMetadata {
  const rope = config.rope_parameters as JsonObject;
  const keys: GgufMetadata = {
    'rope.dimension_count': u32(
      number(config, typeof config.qk_rope_head_dim === 'number' ? 'qk_rope_head_dim' : 'head_dim'),
    ),
    'rope.freq_base': f32(number(config, 'rope_theta')),
  };
  switch (rope.rope_type) {
    case 'linear':
      return { ...keys, 'rope.scaling.type': text('linear'), 'rope.scaling.factor': f32(number(rope, 'factor')) };
    case 'yarn':
      return {
        ...keys,
        'rope.scaling.type': text('yarn'),
        'rope.scaling.factor': f32(number(rope, 'factor')),
        'rope.scaling.original_context_length': u32(number(rope, 'original_max_position_embeddings')),
        ...optional(rope.attention_factor, 'rope.scaling.yarn_attn_factor', f32),
        ...optional(rope.beta_fast, 'rope.scaling.yarn_beta_fast', f32),
        ...optional(rope.beta_slow, 'rope.scaling.yarn_beta_slow', f32),
        // llama.cpp takes a tenth of the scale, for the sake of older files
        ...optional(rope.mscale_all_dim, 'rope.scaling.yarn_log_multiplier', (scale) => f32(0.1 * scale)),
      };
    case 'longrope': {
      const [most, original] = [
        number(config, 'max_position_embeddings'),
        number(rope, 'original_max_position_embeddings'),
      ];
      const scale = most / original;
      const factor = scale > 1 ? Math.sqrt(1 + Math.log(scale) / Math.log(original)) : 1;
      return {
        ...keys,
        'rope.scaling.original_context_length': u32(original),
        'rope.scaling.attn_factor': f32(factor),
      };
    }
    default:
      // the factors of llama3 are a tensor of their own
      return keys;
  }
}

function expertKeys(arch: string, config: JsonObject): GgufMetadata {
  const experts = config.num_local_experts ?? config.num_experts ?? config.n_routed_experts;
  if (typeof experts !== 'number' || !Object.hasOwn(config, 'num_experts_per_tok')) return {};
  const keys: GgufMetadata = {
    expert_count: u32(experts),
    expert_used_count: u32(number(config, 'num_experts_per_tok')),
    ...optional(config.moe_intermediate_size, 'expert_feed_forward_length', u32),
  };
  if (arch !== 'deepseek2') return keys;
  return {
    ...keys,
    leading_dense_block_count: u32(number(config, 'first_k_dense_replace')),
    expert_shared_count: u32(number(config, 'n_shared_experts')),
    ...optional(config.n_group, 'expert_group_count', u32),
    ...optional(config.topk_group, 'expert_group_used_count', u32),
    ...(typeof config.scoring_func === 'string' ? { expert_gating_func: u32(GATINGS[config.scoring_func]) } : {}),
    ...optional(config.routed_scaling_factor, 'expert_weights_scale', f32),
    ...(config.norm_topk_prob === true ? { expert_weights_norm: flag(true) } : {}),
  };
}
