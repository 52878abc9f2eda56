import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath, rowsOf } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import {
  ROPE_KEYS,
  type RopeParameters,
  ropeFrequencies,
  ropeParameters,
  rotaryTables,
  rotatedValues,
} from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface GlmConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  /** Values of each head that are rotated. */
  rotary_dim: number;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'rms_norm_eps', 'attention_bias'],
  inert: INERT_KEYS,
  unsupported: {},
};

const attention = (config: GlmConfig) => ({ qkvBias: config.attention_bias, outputBias: false });

/** Gate and up of a layer are rows of one matrix. */
function gateAndUp(config: GlmConfig, index: number) {
  const path = `${layerPath(index)}.mlp`;
  return rowsOf(`${path}.gate_up_proj.weight`, {
    [`${path}.gate_proj.weight`]: config.intermediate_size,
    [`${path}.up_proj.weight`]: config.intermediate_size,
  });
}

/** GLM-4-9B and GLM-Edge (transformers: models/glm): llama that rotates pairs in half of each head. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 131072, num_key_value_heads: 2, head_dim: 128 });
    const rope = ropeParameters(reader, {
      maxPositions: sizes.max_position_embeddings,
      rotatesPart: true,
      defaultPart: 0.5,
    });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 13696),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1.5625e-7),
      attention_bias: reader.flag('attention_bias', true),
      rotary_dim: rotatedValues(rope, sizes.head_dim),
      rope,
    };
  },

  weights(config, { contextLength }) {
    const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => gateAndUp(config, index));
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...gatedMlpWeights(`${layerPath(index)}.mlp`),
      ]),
      ...Object.assign({}, ...layers),
      ...rotaryTables(ropeFrequencies(config.rope, config.rotary_dim, contextLength), contextLength),
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
              window: 0,
              rotaryDim: config.rotary_dim,
              interleaved: true,
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'glm',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    max_position_embeddings: 64,
  },
} satisfies Architecture<GlmConfig>;
