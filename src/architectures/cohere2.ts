import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, layerWindows, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { parallelLayer, parallelWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Cohere2Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  layer_norm_eps: number;
  attention_bias: boolean;
  logit_scale: number;
  windows: number[];
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS.filter((key) => key !== 'head_dim'),
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'layer_norm_eps',
    'attention_bias',
    'logit_scale',
    'sliding_window',
    'sliding_window_pattern',
    'layer_types',
  ],
  // transformers divides hidden_size by the heads whatever head_dim says; the rest is written by earlier releases
  inert: [
    ...INERT_KEYS,
    'head_dim',
    '_sliding_window_pattern',
    'order_of_interleaved_layers',
    'position_embedding_type',
    'use_qk_norm',
  ],
  unsupported: { use_parallel_block: [null, true] },
};

const attention = (config: Cohere2Config) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

const norm = (config: Cohere2Config) => ({ epsilon: config.layer_norm_eps, bias: false });

/**
 * Command R7B and Command A (transformers: models/cohere2): attention and MLP beside each other behind one LayerNorm,
 * pairs rotated in layers with a window, no positions in the others.
 */
export default {
  keys,

  parseConfig(config, note) {
    const { head_dim: _, ...withoutHeads } = config;
    const reader = openConfig(withoutHeads, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 8192, tie_word_embeddings: true });
    const pattern = reader.size('sliding_window_pattern', 4);
    const window = reader.config.sliding_window === null ? undefined : reader.count('sliding_window', 4096);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 22528),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      layer_norm_eps: reader.positive('layer_norm_eps', 1e-5),
      attention_bias: reader.flag('attention_bias', false),
      logit_scale: reader.number('logit_scale', 0.0625),
      windows: layerWindows(reader, sizes.num_hidden_layers, window, (layer) => (layer + 1) % pattern !== 0),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...parallelWeights(index, norm(config)),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`),
      ]),
      ...(config.windows.some((window) => window > 0)
        ? rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength)
        : {}),
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
              window: config.windows[index],
              rope: config.windows[index] > 0 ? '' : null,
              interleaved: true,
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'cohere2',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    sliding_window: 8,
    logit_scale: 0.25,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Cohere2Config>;
