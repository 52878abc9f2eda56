import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import {
  ConfigReader,
  decoderSizes,
  INERT_KEYS,
  openConfig,
  refuse,
  SIZE_KEYS,
  sameWindows,
} from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';
import type { JsonObject } from '../core/json.js';

interface Ministral3Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  windows: number[];
  rope: RopeParameters;
  /** How much queries grow, and after how many positions each time. */
  growth: { beta: number; length: number };
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'rms_norm_eps',
    'sliding_window',
    'layer_types',
  ],
  inert: INERT_KEYS,
  unsupported: { attention_bias: [null, false], mlp_bias: [null, false] },
};

const attention = { qkvBias: false, outputBias: false };

/** The rope of a config without one (transformers: Ministral3Config). */
const DEFAULT_ROPE: JsonObject = {
  rope_type: 'yarn',
  rope_theta: 1e6,
  factor: 16,
  original_max_position_embeddings: 16384,
  beta_fast: 32,
  beta_slow: 1,
  mscale_all_dim: 1,
  mscale: 1,
  llama_4_scaling_beta: 0.1,
};

/** Growth of queries by the rope's settings, which transformers needs. */
function growthOf({ reader, originalPositions, rope_type: type }: RopeParameters): { beta: number; length: number } {
  if (!reader.has('llama_4_scaling_beta')) {
    refuse('llama_4_scaling_beta', reader.config.llama_4_scaling_beta, 'a number inside of the rope of this family');
  }
  const isScaled = type !== 'default' && type !== 'linear' && type !== 'dynamic';
  // only ropes that are scaled by a length get one from elsewhere
  const length = isScaled ? originalPositions : reader.size('original_max_position_embeddings');
  return { beta: reader.number('llama_4_scaling_beta'), length };
}

/** Ministral 3 (transformers: models/ministral3): mistral with YaRN whose queries grow with their position. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 262144, num_key_value_heads: 8, head_dim: 128 });
    const headDim = config.head_dim === null ? sizes.hidden_size / sizes.num_attention_heads : sizes.head_dim;
    const hasRope = reader.has('rope_parameters') || Object.keys(reader.object('rope_scaling') ?? {}).length > 0;
    const settings = hasRope ? reader.config : { ...reader.config, rope_parameters: DEFAULT_ROPE };
    const rope = ropeParameters(new ConfigReader(settings, note), {
      maxPositions: sizes.max_position_embeddings,
      growsQueries: true,
    });
    return {
      ...sizes,
      head_dim: headDim,
      intermediate_size: reader.size('intermediate_size', 14336),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      windows: sameWindows(
        reader,
        sizes.num_hidden_layers,
        reader.has('sliding_window') ? reader.size('sliding_window') : undefined,
      ),
      rope,
      growth: growthOf(rope),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`),
      ]),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    // within the first length the factor is 1
    const grows = options.contextLength > config.growth.length && config.growth.beta !== 0;
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
              ...attention,
              positions: options.contextLength,
              window: config.windows[index],
              queryGrowth: grows ? config.growth : undefined,
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'ministral3',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    max_position_embeddings: 64,
    rope_parameters: { ...DEFAULT_ROPE, original_max_position_embeddings: 16 },
  },
} satisfies Architecture<Ministral3Config>;
