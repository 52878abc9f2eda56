import { InvalidInputError } from '../../core/errors.js';
import type { GgufMetadata, GgufValue } from '../../core/gguf.js';
import type { JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';
import { yarnMagnitude } from '../../core/rope-factors.js';
import { ggufName } from './name.js';

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
  tokenizer: { metadata: GgufMetadata; isPhi3: boolean },
  fileType: number,
): GgufMetadata {
  return {
    'general.architecture': text(arch),
    'general.type': text('model'),
    'general.name': text(ggufName(config, tokenizer.isPhi3)),
    ...prefixed(arch, sizes(arch, config)),
    ...prefixed(arch, ropeKeys(config)),
    ...prefixed(arch, expertKeys(arch, config)),
    ...tokenizer.metadata,
    'general.quantization_version': u32(QUANTIZATION_VERSION),
    'general.file_type': u32(fileType),
  };
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
  return {
    ...keys,
    'attention.key_length': u32(number(config, 'head_dim')),
    'attention.value_length': u32(number(config, 'head_dim')),
    ...ofArchitecture(arch, config),
  };
}

/** What one architecture alone has. */
function ofArchitecture(arch: string, config: JsonObject): GgufMetadata {
  switch (arch) {
    case 'phi3':
      return { 'attention.sliding_window': u32(typeof config.sliding_window === 'number' ? config.sliding_window : 0) };
    case 'gemma2':
      return {
        ...windowKeys(config, 2),
        attn_logit_softcapping: f32(number(config, 'attn_logit_softcapping')),
        final_logit_softcapping: f32(number(config, 'final_logit_softcapping')),
      };
    case 'gemma3':
      return {
        ...windowKeys(config, 6),
        ...(number(config, 'final_logit_softcapping') > 0
          ? { final_logit_softcapping: f32(number(config, 'final_logit_softcapping')) }
          : {}),
        'rope.freq_base_swa': f32(number(config.local_rope as JsonObject, 'rope_theta')),
      };
    case 'granite':
      return {
        'attention.scale': f32(number(config, 'attention_multiplier')),
        embedding_scale: f32(number(config, 'embedding_multiplier')),
        residual_scale: f32(number(config, 'residual_multiplier')),
        logit_scale: f32(number(config, 'logits_scaling')),
      };
    default:
      return {};
  }
}

/**
 * The window, and which layers have it where that is not all but every `period`th (llama_hparams, set_swa_pattern).
 * llama.cpp wants some layer to have one, and a window of 0 hides everything: where no layer has one, the usual layers
 * get one as long as the longest text.
 */
function windowKeys(config: JsonObject, period: number): GgufMetadata {
  const windows = config.windows as number[];
  const slides = windows.map((window) => window > 0);
  const isUsual = !slides.includes(true) || slides.every((each, layer) => each === ((layer + 1) % period !== 0));
  return {
    'attention.sliding_window': u32(Math.max(...windows) || number(config, 'max_position_embeddings')),
    ...(isUsual ? {} : { 'attention.sliding_window_pattern': { type: 'bool', values: slides } }),
  };
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

function ropeKeys(config: JsonObject): GgufMetadata {
  const rope = config.rope_parameters as JsonObject;
  const rotated = ['qk_rope_head_dim', 'rotary_dim'].find((key) => typeof config[key] === 'number') ?? 'head_dim';
  const keys: GgufMetadata = {
    'rope.dimension_count': u32(number(config, rotated)),
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
        ...magnitude(config, rope),
      };
    case 'longrope':
      return {
        ...keys,
        'rope.scaling.type': text('longrope'),
        'rope.scaling.original_context_length': u32(number(rope, 'original_max_position_embeddings')),
        'rope.scaling.attn_factor': f32(number(rope, 'attention_factor')),
      };
    default:
      // the factors of llama3 are a tensor of their own
      return keys;
  }
}

/**
 * The factor on YaRN's cosines and sines. llama.cpp computes it from the factor, and multiplies it by `attn_factor`; for
 * DeepSeek it wants a tenth of the scale of both magnitudes, for the sake of older files.
 */
function magnitude(config: JsonObject, rope: JsonObject): GgufMetadata {
  if (typeof config.kv_lora_rank === 'number') {
    return typeof rope.mscale_all_dim === 'number'
      ? { 'rope.scaling.yarn_log_multiplier': f32(0.1 * rope.mscale_all_dim) }
      : {};
  }
  const ratio = number(rope, 'attention_factor') / yarnMagnitude(number(rope, 'factor'));
  return Math.abs(ratio - 1) < 1e-7 ? {} : { 'rope.scaling.attn_factor': f32(ratio) };
}

interface Routing {
  experts: number;
  topK: number;
  scoring: string;
  groups: number;
  chosenGroups: number;
  normalize: boolean;
  scale: number;
}

function expertKeys(arch: string, config: JsonObject): GgufMetadata {
  if (config.routing === undefined) return {};
  const routing = config.routing as unknown as Routing;
  const keys: GgufMetadata = {
    expert_count: u32(routing.experts),
    expert_used_count: u32(routing.topK),
    ...(arch === 'llama' ? {} : { expert_feed_forward_length: u32(number(config, 'moe_intermediate_size')) }),
  };
  if (arch !== 'deepseek2') return keys;
  return {
    ...keys,
    leading_dense_block_count: u32(number(config, 'first_k_dense_replace')),
    expert_shared_count: u32(number(config, 'n_shared_experts')),
    ...groupKeys(routing),
    expert_gating_func: u32(GATINGS[routing.scoring]),
    expert_weights_scale: f32(routing.scale),
    ...(routing.normalize ? { expert_weights_norm: flag(true) } : {}),
  };
}

/**
 * Groups of experts. One group says that there is no choice among groups, which llama.cpp cannot take from as many chosen
 * as there are: it ends the process.
 */
function groupKeys({ experts, groups, chosenGroups }: Routing): GgufMetadata {
  if (experts === 1) return {};
  const [count, used] = chosenGroups < groups ? [groups, chosenGroups] : [1, 1];
  return { expert_group_count: u32(count), expert_group_used_count: u32(used) };
}
