import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import {
  type ConfigReader,
  decoderSizes,
  INERT_KEYS,
  layerWindows,
  openConfig,
  refuse,
  SIZE_KEYS,
} from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { postNormLayer, postNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Exaone4Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  windows: number[];
  /** Whether a layer rotates its queries and keys. */
  rotates: boolean[];
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'rms_norm_eps',
    'sliding_window',
    'sliding_window_pattern',
    'layer_types',
  ],
  inert: INERT_KEYS,
  unsupported: { attention_bias: [null, false], mlp_bias: [null, false] },
};

const attention = (config: Exaone4Config) => ({
  qkvBias: false,
  outputBias: false,
  headNormEps: config.rms_norm_eps,
});

/** Windows of the layers: `layer_types`, else all but every so many. */
function windowsOf(reader: ConfigReader, layers: number): number[] {
  const window = reader.config.sliding_window === null ? undefined : reader.count('sliding_window', 4096);
  if (reader.has('layer_types')) return layerWindows(reader, layers, window, () => false);
  if (window === undefined) {
    refuse(
      'layer_types',
      reader.config.layer_types,
      'a list, because there is no sliding_window: transformers needs one',
    );
  }
  const pattern = reader.size('sliding_window_pattern', 4);
  return layerWindows(reader, layers, window, (layer) => (layer + 1) % pattern !== 0);
}

/**
 * EXAONE 4 (transformers: models/exaone4): norms after attention and MLP, one over each head of q and k; where some
 * layers slide, the others have no positions.
 */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 2048, num_key_value_heads: 32 });
    const windows = windowsOf(reader, sizes.num_hidden_layers);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 16384),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      windows,
      rotates: windows.map((window) => reader.config.sliding_window === null || window > 0),
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
      ...(config.rotates.includes(true)
        ? rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength)
        : {}),
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
          (value) =>
            selfAttention(g, config, value, index, `${layerPath(index)}.self_attn`, {
              ...attention(config),
              positions: options.contextLength,
              window: config.windows[index],
              rope: config.rotates[index] ? '' : null,
            }),
          (value) => gatedMlp(g, value, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'exaone4',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    sliding_window: 8,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Exaone4Config>;
