import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Ernie45Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  use_bias: boolean;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'rms_norm_eps', 'use_bias'],
  inert: INERT_KEYS,
  unsupported: {},
};

const attention = (config: Ernie45Config) => ({ qkvBias: config.use_bias, outputBias: config.use_bias });

/** ERNIE 4.5 (transformers: models/ernie4_5): llama whose rope turns interleaved pairs. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 131072,
      num_key_value_heads: 2,
      head_dim: 128,
      tie_word_embeddings: true,
    });
    // transformers: a head_dim of null is that of other families
    const headDim = config.head_dim === null ? sizes.hidden_size / sizes.num_attention_heads : sizes.head_dim;
    return {
      ...sizes,
      head_dim: headDim,
      intermediate_size: reader.size('intermediate_size', 3072),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      use_bias: reader.flag('use_bias', false),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings, defaultTheta: 5e5 }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`, config.use_bias),
      ]),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    const { intermediate_size: intermediate, hidden_act: activation, use_bias: bias } = config;
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
              interleaved: true,
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, intermediate, activation, bias),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'ernie4_5',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Ernie45Config>;
