import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { postNormLayer, postNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Olmo2Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'rms_norm_eps', 'attention_bias'],
  inert: INERT_KEYS,
  unsupported: { clip_qkv: [null] },
};

const attention = (config: Olmo2Config) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_bias,
  queryKeyNorm: { q: 'q_norm', k: 'k_norm', form: config.rms_norm_eps, whole: true },
});

/** OLMo 2 (transformers: models/olmo2): norms after attention and MLP, and one over all of q and of k. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 2048 });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 11008),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      attention_bias: reader.flag('attention_bias', false),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...postNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`),
      ]),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
      layer: (g, x, index) =>
        postNormLayer(
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
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'olmo2',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Olmo2Config>;
