import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface GraniteConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  mlp_bias: boolean;
  embedding_multiplier: number;
  attention_multiplier: number;
  residual_multiplier: number;
  logits_scaling: number;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'rms_norm_eps',
    'attention_bias',
    'mlp_bias',
    'embedding_multiplier',
    'attention_multiplier',
    'residual_multiplier',
    'logits_scaling',
  ],
  inert: INERT_KEYS,
  unsupported: {},
};

const attention = (config: GraniteConfig) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

/** Granite 3 (transformers: models/granite): llama with a multiplier at the embeddings, scores, residuals and logits. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 2048 });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 11008),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      mlp_bias: reader.flag('mlp_bias', false),
      embedding_multiplier: reader.number('embedding_multiplier', 1),
      attention_multiplier: reader.number('attention_multiplier', 1),
      residual_multiplier: reader.number('residual_multiplier', 1),
      logits_scaling: reader.positive('logits_scaling', 1),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`, config.mlp_bias),
      ]),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    const factor = (value: number) => (value === 1 ? undefined : value);
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
      embeddingScale: factor(config.embedding_multiplier),
      logitsScale: factor(1 / config.logits_scaling),
      layer: (g, x, index) =>
        preNormLayer(
          g,
          x,
          index,
          config.rms_norm_eps,
          (normed) =>
            selfAttention(g, config, normed, index, `${layerPath(index)}.self_attn`, {
              ...attention(config),
              positions: options.contextLength,
              window: 0,
              scale: config.attention_multiplier,
            }),
          (normed) =>
            gatedMlp(
              g,
              normed,
              `${layerPath(index)}.mlp`,
              config.intermediate_size,
              config.hidden_act,
              config.mlp_bias,
            ),
          factor(config.residual_multiplier),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'granite',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    embedding_multiplier: 12,
    attention_multiplier: 0.015625,
    residual_multiplier: 0.22,
    logits_scaling: 8,
    max_position_embeddings: 64,
  },
} satisfies Architecture<GraniteConfig>;
