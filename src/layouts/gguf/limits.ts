import { InvalidInputError } from '../../core/errors.js';
import type { Json, JsonObject } from '../../core/json.js';
import { familyOf } from './families.js';

/** A setting of config.json that llama.cpp's graph has in one way only. `config` is complete. */
interface Limit {
  /** The key, that of a rope after `rope_parameters.`. */
  key: string;
  /** What llama.cpp has. */
  needed: string | ((config: JsonObject) => string);
  holds(config: JsonObject): boolean;
}

/** The keys of a family: those that the file's metadata, tensors or their shapes say, and those of which llama.cpp has one value. */
export interface Account {
  carried: string[];
  limits: Limit[];
}

const ropeOf = (config: JsonObject) => config.rope_parameters as JsonObject;
const isNear = (a: Json | undefined, b: number) => typeof a === 'number' && Math.abs(a - b) <= 1e-6 * Math.abs(b);

const only = (key: string, ...values: Json[]): Limit => ({
  key,
  needed: values.map((each) => JSON.stringify(each)).join(' or '),
  holds: (config) => config[key] === undefined || values.includes(config[key]),
});

const ropeTypes = (...types: string[]): Limit => ({
  key: 'rope_parameters.rope_type',
  needed: types.join(', '),
  holds: (config) => types.includes(String(ropeOf(config).rope_type)),
});

/** What a YaRN may not say: llama.cpp takes its own values (llama_hparams) but for the factors, the length and the magnitude. */
const yarn = (key: string, value: Json, ...same: Json[]): Limit => ({
  key: `rope_parameters.${key}`,
  needed: `${JSON.stringify(value)} for yarn`,
  holds: (config) => {
    const { rope_type: type, [key]: found = value } = ropeOf(config);
    return type !== 'yarn' || found === null || [value, ...same].includes(found);
  },
});
// transformers: 0 counts as none
const YARN = [yarn('beta_fast', 32, 0), yarn('beta_slow', 1, 0), yarn('truncate', true)];

const SILU = only('hidden_act', 'silu');
const NO_ATTENTION_BIAS = only('attention_bias', false);

/** llama.cpp gives q_proj as many rows as the model has columns. */
const HEADS_FILL_HIDDEN: Limit = {
  key: 'head_dim',
  needed: (config) => `hidden_size / num_attention_heads, which is ${hiddenOverHeads(config)}`,
  holds: (config) => config.head_dim === hiddenOverHeads(config),
};

const hiddenOverHeads = (config: JsonObject) => (config.hidden_size as number) / (config.num_attention_heads as number);

/** Gemma's scale of scores: llama.cpp has no key for it, and tells the largest model by its layers. */
const queryScale = (largest: number): Limit => {
  const expected = (config: JsonObject) =>
    config.num_hidden_layers === largest ? Math.floor(hiddenOverHeads(config)) : (config.head_dim as number);
  return {
    key: 'query_pre_attn_scalar',
    needed: (config) => `${expected(config)}`,
    holds: (config) => isNear(config.query_pre_attn_scalar, expected(config)),
  };
};

const above0 = (key: string): Limit => ({
  key,
  needed: 'a number above 0',
  holds: (config) => typeof config[key] === 'number' && config[key] > 0,
});

const SIZES = [
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'max_position_embeddings',
  'tie_word_embeddings',
  'intermediate_size',
  'rms_norm_eps',
];
const ROPE = [
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'original_max_position_embeddings',
  'partial_rotary_factor',
];
/** Not in llama.cpp's graph, and said so: a window matters only beyond it. */
const WINDOW = ['sliding_window', 'use_sliding_window', 'max_window_layers', 'layer_types'];

const llama: Account = {
  carried: [...SIZES, ...ROPE, ...WINDOW, 'attention_bias', 'mlp_bias'],
  limits: [SILU, ropeTypes('default', 'dynamic', 'linear', 'yarn', 'llama3', 'longrope'), ...YARN],
};

const qwen: Account = {
  carried: [...SIZES, ...ROPE, ...WINDOW],
  limits: [SILU, ropeTypes('default', 'dynamic', 'linear', 'yarn'), ...YARN],
};

/** Whether llama.cpp takes a model to have no low rank for its queries (src/models/deepseek2.cpp). */
const isLite = ({ num_hidden_layers: layers, vocab_size: vocab }: JsonObject) =>
  layers === 26 || layers === 27 || (layers === 48 && vocab === 128256);

const deepseek: Account = {
  carried: [
    ...SIZES,
    ...ROPE,
    'kv_lora_rank',
    'qk_nope_head_dim',
    'qk_rope_head_dim',
    'v_head_dim',
    'moe_intermediate_size',
    'n_routed_experts',
    'num_experts_per_tok',
    'n_group',
    'topk_group',
    'scoring_func',
    'norm_topk_prob',
    'routed_scaling_factor',
    'first_k_dense_replace',
  ],
  limits: [
    SILU,
    NO_ATTENTION_BIAS,
    ropeTypes('default', 'yarn'),
    ...YARN,
    {
      // llama.cpp takes the two for equal, and without them scales scores twice
      key: 'rope_parameters.mscale_all_dim',
      needed: 'a number above 0 for yarn, equal to mscale,',
      holds: (config) => {
        const { rope_type: type, factor, mscale, mscale_all_dim: all } = ropeOf(config);
        return type !== 'yarn' || factor === 1 || (typeof all === 'number' && all > 0 && mscale === all);
      },
    },
    {
      key: 'rope_parameters.attention_factor',
      needed: 'the one that follows from mscale',
      holds: (config) => ropeOf(config).rope_type !== 'yarn' || isNear(ropeOf(config).attention_factor, 1),
    },
    // the norms inside latent attention have an epsilon of their own in transformers, and the model's in llama.cpp
    only('rms_norm_eps', 1e-6),
    only('rope_interleave', true),
    only('moe_layer_freq', 1),
    above0('n_shared_experts'),
    {
      key: 'q_lora_rank',
      needed: (config) =>
        isLite(config) ? 'null for this number of layers' : 'a number, but for models of 26 or 27 layers,',
      holds: (config) => isLite(config) !== (typeof config.q_lora_rank === 'number'),
    },
    {
      key: 'topk_method',
      needed: 'groups that count by the sum of their two best experts',
      holds: ({ routing }) => {
        const { groups, chosenGroups, groupScore } = routing as JsonObject;
        return chosenGroups === groups || groupScore === 'top2';
      },
    },
  ],
};

/**
 * What becomes of every key that a family reads, by `model_type`: llama.cpp v0.5.0 of 2026, src/models/<architecture>.cpp
 * and src/llama-context.cpp. A key of `blocks` or an architecture that is in neither list fails a test.
 */
export const ACCOUNTS: Record<string, Account> = {
  llama,
  mistral: llama,
  ministral: llama,
  mixtral: { ...llama, carried: [...llama.carried, 'num_local_experts', 'num_experts_per_tok'] },
  granite: {
    carried: [
      ...llama.carried,
      'attention_multiplier',
      'embedding_multiplier',
      'residual_multiplier',
      'logits_scaling',
    ],
    // a scale of 0 is none to llama.cpp
    limits: [
      ...llama.limits,
      above0('attention_multiplier'),
      above0('embedding_multiplier'),
      above0('residual_multiplier'),
    ],
  },
  smollm3: {
    carried: [...SIZES, ...ROPE, ...WINDOW],
    limits: [
      SILU,
      NO_ATTENTION_BIAS,
      only('mlp_bias', false),
      ropeTypes('default', 'dynamic', 'linear', 'yarn'),
      ...YARN,
      ...['no_rope_layers', 'no_rope_layer_interval'].map((key) => ({
        key,
        needed: 'every fourth layer without positions',
        holds: ({ rotates }: JsonObject) =>
          (rotates as boolean[]).every((each, layer) => each === ((layer + 1) % 4 !== 0)),
      })),
    ],
  },
  qwen2: { ...qwen, limits: [...qwen.limits, HEADS_FILL_HIDDEN] },
  qwen3: { ...qwen, limits: [...qwen.limits, NO_ATTENTION_BIAS] },
  qwen3_moe: {
    carried: [...qwen.carried, 'moe_intermediate_size', 'num_experts', 'num_experts_per_tok'],
    limits: [
      ...qwen.limits,
      NO_ATTENTION_BIAS,
      {
        key: 'norm_topk_prob',
        needed: 'true',
        holds: ({ routing }) => (routing as JsonObject).normalize === true,
      },
      ...['mlp_only_layers', 'decoder_sparse_step'].map((key) => ({
        key,
        needed: 'layers with experts',
        holds: ({ sparse }: JsonObject) => (sparse as boolean[]).every(Boolean),
      })),
    ],
  },
  phi3: {
    carried: [...SIZES, ...ROPE, ...WINDOW],
    limits: [SILU, ropeTypes('default', 'longrope'), HEADS_FILL_HIDDEN],
  },
  gemma2: {
    carried: [...SIZES, ...ROPE, ...WINDOW],
    limits: [
      only('hidden_activation', 'gelu_pytorch_tanh'),
      NO_ATTENTION_BIAS,
      only('tie_word_embeddings', true),
      ropeTypes('default', 'dynamic', 'linear', 'yarn'),
      ...YARN,
      above0('attn_logit_softcapping'),
      above0('final_logit_softcapping'),
      queryScale(46),
    ],
  },
  gemma3_text: {
    carried: [
      ...SIZES,
      ...ROPE,
      ...WINDOW,
      'rope_local_base_freq',
      'sliding_window_pattern',
      'final_logit_softcapping',
      // never applied by transformers
      'attn_logit_softcapping',
    ],
    limits: [
      only('hidden_activation', 'gelu_pytorch_tanh'),
      NO_ATTENTION_BIAS,
      ropeTypes('default', 'dynamic', 'linear'),
      {
        key: 'rope_parameters.sliding_attention',
        needed: 'a rope of type default in layers with a window',
        holds: ({ local_rope }) => ['default', 'dynamic'].includes(String((local_rope as JsonObject).rope_type)),
      },
      queryScale(62),
    ],
  },
  deepseek_v2: deepseek,
  deepseek_v3: deepseek,
};

/** Architectures whose graphs have windows. */
const WINDOWED = ['gemma2', 'gemma3'];

/**
 * Refuses a model that llama.cpp would run as another one, and names what it passes over and what it does otherwise only
 * beyond some length.
 */
export function llamaCppLimits(config: JsonObject): string[] {
  const { arch } = familyOf(config);
  for (const { key, needed, holds } of ACCOUNTS[config.model_type as string].limits) {
    if (holds(config)) continue;
    const found = key.startsWith('rope_parameters.') ? ropeOf(config)[key.slice(16)] : config[key];
    throw new InvalidInputError(
      `config.json: "${key}" is ${JSON.stringify(found ?? null)}; llama.cpp's ${arch} has ` +
        `${typeof needed === 'string' ? needed : needed(config)} only.`,
      'run this model from another layout.',
    );
  }
  return [...windowNotes(arch, config), ...ropeNotes(arch, config)];
}

function windowNotes(arch: string, config: JsonObject): string[] {
  const windows = ((config.windows ?? []) as number[]).filter((each) => each > 0);
  const window = Math.min(...windows);
  if (WINDOWED.includes(arch) || windows.length === 0 || window >= (config.max_position_embeddings as number))
    return [];
  return [
    `llama.cpp's ${arch} has no sliding window: beyond ${window} tokens it sees more than this model did in training.`,
  ];
}

function ropeNotes(arch: string, config: JsonObject): string[] {
  const { rope_type: type, original_max_position_embeddings: original } = ropeOf(config);
  if (type === 'dynamic') {
    return [
      `llama.cpp's ${arch} has no rope of type dynamic: beyond ${config.max_position_embeddings} positions it does not ` +
        'change the frequencies.',
    ];
  }
  if (type !== 'longrope') return [];
  return [
    `llama.cpp takes the long factors of the rope for every text where its context is above ${original} positions, this ` +
      'model only for texts that are longer: give it a context of no more (-c) for short ones.',
  ];
}
