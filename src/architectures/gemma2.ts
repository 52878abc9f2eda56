import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { type ConfigReader, decoderSizes, INERT_KEYS, layerWindows, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { onePlusNorms, sandwichNormLayer, sandwichNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Gemma2Config extends DecoderConfig {
  intermediate_size: number;
  hidden_activation: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  query_pre_attn_scalar: number;
  /** 0 for none. */
  attn_logit_softcapping: number;
  final_logit_softcapping: number;
  windows: number[];
  rope: RopeParameters;
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
    'layer_types',
  ],
  // transformers takes the function from hidden_activation alone
  inert: [...INERT_KEYS, 'hidden_act', 'sliding_window_size'],
  unsupported: { use_bidirectional_attention: [null, false] },
};

const attention = (config: Gemma2Config) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

/** A soft cap; null switches it off. */
const cap = (reader: ConfigReader, key: string, fallback: number) =>
  reader.config[key] === null ? 0 : reader.positive(key, fallback);

/** Gemma 2 (transformers: models/gemma2): norms on both sides with gains less one, soft caps, every other layer slides. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 8192,
      num_key_value_heads: 4,
      head_dim: 256,
      tie_word_embeddings: true,
    });
    const window = reader.config.sliding_window === null ? undefined : reader.count('sliding_window', 4096);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 9216),
      hidden_activation: activationOf(reader, 'hidden_activation', 'gelu_pytorch_tanh'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      query_pre_attn_scalar: reader.positive('query_pre_attn_scalar', 256),
      attn_logit_softcapping: cap(reader, 'attn_logit_softcapping', 50),
      final_logit_softcapping: cap(reader, 'final_logit_softcapping', 30),
      windows: layerWindows(reader, sizes.num_hidden_layers, window, (layer) => layer % 2 === 0),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...onePlusNorms(
        decoderWeights(config, (index) => [
          ...sandwichNormWeights(index),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...gatedMlpWeights(`${layerPath(index)}.mlp`),
        ]),
      ),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
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
              scale: config.query_pre_attn_scalar ** -0.5,
              softcap: config.attn_logit_softcapping,
            }),
          (normed) =>
            gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_activation),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'gemma2',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    query_pre_attn_scalar: 20,
    sliding_window: 8,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Gemma2Config>;
