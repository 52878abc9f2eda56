import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, layerWindows, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface SmolLM3Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  mlp_bias: boolean;
  /** Whether a layer rotates its queries and keys. */
  rotates: boolean[];
  windows: number[];
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
    'no_rope_layers',
    'no_rope_layer_interval',
    'use_sliding_window',
    'sliding_window',
    'layer_types',
  ],
  inert: [...INERT_KEYS, 'max_window_layers'],
  unsupported: {},
};

const attention = (config: SmolLM3Config) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

/** SmolLM3 (transformers: models/smollm3): llama in which every fourth layer has no positions. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 32768,
      num_key_value_heads: 4,
      tie_word_embeddings: true,
    });
    const layers = sizes.num_hidden_layers;
    const interval = reader.size('no_rope_layer_interval', 4);
    // the key says the opposite of its name: 1 where a layer rotates
    const listed = reader.integers('no_rope_layers');
    const rotates = Array.from({ length: layers }, (_, index) =>
      listed ? listed[index] !== 0 : (index + 1) % interval !== 0,
    );
    const slides = reader.flag('use_sliding_window', false);
    const window = reader.has('sliding_window') ? reader.count('sliding_window') : undefined;
    const windows = layerWindows(reader, layers, window, (layer) => slides && !rotates[layer]);
    if (!slides && windows.some((each) => each > 0)) {
      reader.note(
        `config.json: "use_sliding_window" is false and "layer_types" names layers with a window: they have one of ` +
          `${window}, as in transformers, whose masks follow "layer_types".`,
      );
    }
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 11008),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      mlp_bias: reader.flag('mlp_bias', false),
      rotates,
      windows,
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings, defaultTheta: 2e6 }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`, config.mlp_bias),
      ]),
      ...(config.rotates.includes(true)
        ? rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength)
        : {}),
    };
  },

  build(config, options) {
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
              window: config.windows[index],
              rope: config.rotates[index] ? '' : null,
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
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'smollm3',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    no_rope_layer_interval: 2,
    max_position_embeddings: 64,
  },
} satisfies Architecture<SmolLM3Config>;
