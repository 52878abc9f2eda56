import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { parallelLayer, parallelWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface CohereConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  layer_norm_eps: number;
  attention_bias: boolean;
  logit_scale: number;
  use_qk_norm: boolean;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'layer_norm_eps',
    'attention_bias',
    'logit_scale',
    'use_qk_norm',
  ],
  inert: INERT_KEYS,
  unsupported: {},
};

const norm = (config: CohereConfig) => ({ epsilon: config.layer_norm_eps, bias: false });

const attention = (config: CohereConfig) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_bias,
  queryKeyNorm: config.use_qk_norm
    ? { q: 'q_norm', k: 'k_norm', form: norm(config), gains: 'own' as const }
    : undefined,
});

/**
 * Command R and R+ (transformers: models/cohere): attention and MLP beside each other behind one LayerNorm, pairs rotated,
 * in R+ a norm of its own for each head of q and k.
 */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 8192, tie_word_embeddings: true });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 22528),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      layer_norm_eps: reader.positive('layer_norm_eps', 1e-5),
      attention_bias: reader.flag('attention_bias', false),
      logit_scale: reader.number('logit_scale', 0.0625),
      use_qk_norm: reader.flag('use_qk_norm', false),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings, defaultTheta: 5e5 }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...parallelWeights(index, norm(config)),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`),
      ]),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: norm(config),
      logitsScale: config.logit_scale,
      layer: (g, x, index) =>
        parallelLayer(
          g,
          x,
          index,
          norm(config),
          (normed) =>
            selfAttention(g, config, normed, index, `${layerPath(index)}.self_attn`, {
              ...attention(config),
              positions: options.contextLength,
              window: 0,
              interleaved: true,
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'cohere',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    use_qk_norm: true,
    logit_scale: 0.25,
    max_position_embeddings: 64,
  },
} satisfies Architecture<CohereConfig>;
