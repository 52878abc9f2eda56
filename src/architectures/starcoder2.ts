import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS, sameWindows } from '../blocks/config.js';
import { decoderWeights, drawDecoder, ENDS, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, plainMlp, plainMlpWeights } from '../blocks/mlp.js';
import { normWeights } from '../blocks/norm.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Starcoder2Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  norm_epsilon: number;
  use_bias: boolean;
  windows: number[];
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'norm_epsilon',
    'use_bias',
    'sliding_window',
    'layer_types',
  ],
  inert: [...INERT_KEYS, 'embedding_dropout', 'residual_dropout', 'norm_type', 'mlp_type'],
  unsupported: {},
};

const MLP = { up: 'c_fc', down: 'c_proj' };

const attention = (config: Starcoder2Config) => ({ qkvBias: config.use_bias, outputBias: config.use_bias });

const norm = (config: Starcoder2Config) => ({ epsilon: config.norm_epsilon, bias: true });

/** StarCoder2 (transformers: models/starcoder2): LayerNorms, biases and an MLP without a gate. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 4096,
      num_key_value_heads: 2,
      tie_word_embeddings: true,
    });
    const window = reader.has('sliding_window') ? reader.size('sliding_window') : undefined;
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 12288),
      hidden_act: activationOf(reader, 'hidden_act', 'gelu_pytorch_tanh'),
      norm_epsilon: reader.positive('norm_epsilon', 1e-5),
      use_bias: reader.flag('use_bias', true),
      windows: sameWindows(reader, sizes.num_hidden_layers, window),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(
        config,
        (index) => [
          ...preNormWeights(index, norm(config)),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...plainMlpWeights(`${layerPath(index)}.mlp`, MLP, config.use_bias),
        ],
        normWeights(ENDS.norm, norm(config)),
      ),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    const { intermediate_size: intermediate, hidden_act: activation, use_bias: bias } = config;
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: norm(config),
      layer: (g, x, index) =>
        preNormLayer(
          g,
          x,
          index,
          norm(config),
          (normed) =>
            selfAttention(g, config, normed, index, `${layerPath(index)}.self_attn`, {
              ...attention(config),
              positions: options.contextLength,
              window: config.windows[index],
            }),
          (normed) => plainMlp(g, normed, `${layerPath(index)}.mlp`, MLP, intermediate, activation, bias),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'starcoder2',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    sliding_window: 8,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Starcoder2Config>;
