import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface SeedOssConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  attention_out_bias: boolean;
  mlp_bias: boolean;
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
    'attention_out_bias',
    'mlp_bias',
  ],
  inert: [...INERT_KEYS, 'residual_dropout'],
  unsupported: {},
};

const attention = (config: SeedOssConfig) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_out_bias,
});

/** Seed-OSS (transformers: models/seed_oss): llama with biases on q, k and v, and one of its own on the output. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 524288, num_key_value_heads: 8, head_dim: 128 });
    // transformers: a head_dim of null is that of other families
    const headDim = config.head_dim === null ? sizes.hidden_size / sizes.num_attention_heads : sizes.head_dim;
    return {
      ...sizes,
      head_dim: headDim,
      intermediate_size: reader.size('intermediate_size', 27648),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', true),
      attention_out_bias: reader.flag('attention_out_bias', false),
      mlp_bias: reader.flag('mlp_bias', false),
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
    const { intermediate_size: intermediate, hidden_act: activation, mlp_bias: bias } = config;
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
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
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, intermediate, activation, bias),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'seed_oss',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    max_position_embeddings: 64,
  },
} satisfies Architecture<SeedOssConfig>;
