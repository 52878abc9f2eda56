import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { type ConfigReader, decoderSizes, INERT_KEYS, layerWindows, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { layerRopes } from '../blocks/layer-ropes.js';
import { onePlusNorms, sandwichNormLayer, sandwichNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Gemma3TextConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_activation: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  query_pre_attn_scalar: number;
  /** 0 for none. */
  final_logit_softcapping: number;
  windows: number[];
  rope: RopeParameters;
  /** Rope of the layers with a window. */
  local_rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_activation',
    'rms_norm_eps',
    'attention_bias',
    'query_pre_attn_scalar',
    'attn_logit_softcapping',
    'final_logit_softcapping',
    'sliding_window',
    'sliding_window_pattern',
    'rope_local_base_freq',
    'layer_types',
  ],
  // transformers takes the function from hidden_activation alone, and writes _sliding_window_pattern without reading it
  inert: [...INERT_KEYS, 'hidden_act', '_sliding_window_pattern'],
  unsupported: { use_bidirectional_attention: [null, false] },
};

const attention = (config: Gemma3TextConfig) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_bias,
  headNormEps: config.rms_norm_eps,
});

/** Names of the local rope's tables end in this. */
const LOCAL = '_local';

const cap = (reader: ConfigReader, key: string) => (reader.has(key) ? reader.positive(key) : 0);

/** Gemma 3's text model (transformers: models/gemma3): five layers slide with a rope of their own, the sixth sees all. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 131072,
      num_key_value_heads: 4,
      head_dim: 256,
      tie_word_embeddings: true,
    });
    const pattern = reader.size('sliding_window_pattern', 6);
    if (reader.has('attn_logit_softcapping')) {
      reader.note(
        'config.json: "attn_logit_softcapping" is passed over: transformers never applies it in this family.',
      );
    }
    const window = reader.config.sliding_window === null ? undefined : reader.count('sliding_window', 4096);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 9216),
      hidden_activation: activationOf(reader, 'hidden_activation', 'gelu_pytorch_tanh'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      query_pre_attn_scalar: reader.positive('query_pre_attn_scalar', 256),
      final_logit_softcapping: cap(reader, 'final_logit_softcapping'),
      windows: layerWindows(reader, sizes.num_hidden_layers, window, (layer) => (layer + 1) % pattern !== 0),
      ...layerRopes(reader, {
        maxPositions: sizes.max_position_embeddings,
        defaultTheta: 1e6,
        localTheta: { key: 'rope_local_base_freq', default: 1e4 },
      }),
    };
  },

  weights(config, { contextLength }) {
    const tables = (rope: RopeParameters, suffix: string) =>
      rotaryTables(ropeFrequencies(rope, config.head_dim, contextLength), contextLength, suffix);
    return {
      ...onePlusNorms(
        decoderWeights(config, (index) => [
          ...sandwichNormWeights(index),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...gatedMlpWeights(`${layerPath(index)}.mlp`),
        ]),
      ),
      ...(config.windows.includes(0) ? tables(config.rope, '') : {}),
      ...(config.windows.some((window) => window > 0) ? tables(config.local_rope, LOCAL) : {}),
    };
  },

  build(config, options) {
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
      embeddingScale: Math.sqrt(config.hidden_size),
      logitsSoftcap: config.final_logit_softcapping || undefined,
      layer: (g, x, index) =>
        sandwichNormLayer(
          g,
          x,
          index,
          config.rms_norm_eps,
          (normed) =>
            selfAttention(g, config, normed, index, `${layerPath(index)}.self_attn`, {
              ...attention(config),
              positions: options.contextLength,
              window: config.windows[index],
              rope: config.windows[index] === 0 ? '' : LOCAL,
              scale: config.query_pre_attn_scalar ** -0.5,
            }),
          (normed) =>
            gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_activation),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'gemma3_text',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    query_pre_attn_scalar: 20,
    sliding_window: 8,
    sliding_window_pattern: 3,
    rope_scaling: { rope_type: 'linear', factor: 8 },
    max_position_embeddings: 64,
  },
} satisfies Architecture<Gemma3TextConfig>;
