import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, plainMlp, plainMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface ArceeConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  mlp_bias: boolean;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'rms_norm_eps', 'attention_bias', 'mlp_bias'],
  inert: INERT_KEYS,
  unsupported: {},
};

const MLP = { up: 'up_proj', down: 'down_proj' };

const attention = (config: ArceeConfig) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

/** Arcee AFM (transformers: models/arcee): llama with an MLP of relu squared and no gate. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 4096 });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 18432),
      hidden_act: activationOf(reader, 'hidden_act', 'relu2'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      attention_bias: reader.flag('attention_bias', false),
      mlp_bias: reader.flag('mlp_bias', false),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...plainMlpWeights(`${layerPath(index)}.mlp`, MLP, config.mlp_bias),
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
          (normed) => plainMlp(g, normed, `${layerPath(index)}.mlp`, MLP, intermediate, activation, bias),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'arcee',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 64,
  },
} satisfies Architecture<ArceeConfig>;
