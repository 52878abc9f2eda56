import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, layerWindows, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { layerRopes } from '../blocks/layer-ropes.js';
import { postNormLayer, postNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Olmo3Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  windows: number[];
  rope: RopeParameters;
  /** Rope of the layers with a window. */
  local_rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'rms_norm_eps',
    'attention_bias',
    'sliding_window',
    'layer_types',
  ],
  inert: [...INERT_KEYS, 'rope_local_base_freq'],
  unsupported: { clip_qkv: [null] },
};

const attention = (config: Olmo3Config) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_bias,
  queryKeyNorm: { q: 'q_norm', k: 'k_norm', form: config.rms_norm_eps, whole: true },
});

/** Names of the rope tables of layers with a window end in this. */
const LOCAL = '_local';

/** OLMo 3 (transformers: models/olmo3): olmo2 of which three layers in four slide, with a rope that is not scaled. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 2048 });
    const window = reader.config.sliding_window === null ? undefined : reader.count('sliding_window', 4096);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 11008),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      attention_bias: reader.flag('attention_bias', false),
      windows: layerWindows(reader, sizes.num_hidden_layers, window, (layer) => (layer + 1) % 4 !== 0),
      ...layerRopes(reader, {
        maxPositions: sizes.max_position_embeddings,
        defaultTheta: 5e5,
        localTheta: { default: 5e5 },
      }),
    };
  },

  weights(config, { contextLength }) {
    const table = (rope: RopeParameters, suffix: string) =>
      rotaryTables(ropeFrequencies(rope, config.head_dim, contextLength), contextLength, suffix);
    return {
      ...decoderWeights(config, (index) => [
        ...postNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`),
      ]),
      ...(config.windows.includes(0) ? table(config.rope, '') : {}),
      ...(config.windows.some((window) => window > 0) ? table(config.local_rope, LOCAL) : {}),
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
              window: config.windows[index],
              rope: config.windows[index] > 0 ? LOCAL : '',
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'olmo3',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 64,
    sliding_window: 8,
  },
} satisfies Architecture<Olmo3Config>;
