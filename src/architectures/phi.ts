import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, ENDS, layerPath } from '../blocks/decoder.js';
import { parallelLayer, parallelWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, plainMlp, plainMlpWeights } from '../blocks/mlp.js';
import { normWeights } from '../blocks/norm.js';
import {
  ROPE_KEYS,
  type RopeParameters,
  ropeFrequencies,
  ropeParameters,
  rotaryTables,
  rotatedValues,
} from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface PhiConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  layer_norm_eps: number;
  qk_layernorm: boolean;
  /** Values of each head that are rotated. */
  rotary_dim: number;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'layer_norm_eps', 'qk_layernorm'],
  inert: [...INERT_KEYS, 'embd_pdrop', 'resid_pdrop'],
  unsupported: {},
};

const MLP = { up: 'fc1', down: 'fc2' };
const FINAL_NORM = 'model.final_layernorm';

const norm = (config: PhiConfig) => ({ epsilon: config.layer_norm_eps, bias: true });

const attention = (config: PhiConfig) => ({
  qkvBias: true,
  outputBias: true,
  output: 'dense',
  queryKeyNorm: config.qk_layernorm ? { q: 'q_layernorm', k: 'k_layernorm', form: norm(config) } : undefined,
});

/**
 * Phi-1, Phi-1.5 and Phi-2 (transformers: models/phi): attention and an MLP without a gate beside each other behind one
 * LayerNorm, biases everywhere, a part of each head rotated.
 */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 2048 });
    const rope = ropeParameters(reader, {
      maxPositions: sizes.max_position_embeddings,
      rotatesPart: true,
      defaultPart: 0.5,
    });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 8192),
      hidden_act: activationOf(reader, 'hidden_act', 'gelu_pytorch_tanh'),
      layer_norm_eps: reader.positive('layer_norm_eps', 1e-5),
      qk_layernorm: reader.flag('qk_layernorm', false),
      rotary_dim: rotatedValues(rope, sizes.head_dim),
      rope,
    };
  },

  weights(config, { contextLength }) {
    return {
      ...decoderWeights(
        config,
        (index) => [
          ...parallelWeights(index, norm(config)),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...plainMlpWeights(`${layerPath(index)}.mlp`, MLP, true),
        ],
        [...normWeights(FINAL_NORM, norm(config)), ENDS.headBias],
      ),
      ...rotaryTables(ropeFrequencies(config.rope, config.rotary_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    const { intermediate_size: intermediate, hidden_act: activation } = config;
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: norm(config),
      norm: FINAL_NORM,
      headBias: true,
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
              rotaryDim: config.rotary_dim,
            }),
          (normed) => plainMlp(g, normed, `${layerPath(index)}.mlp`, MLP, intermediate, activation, true),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'phi',
    vocab_size: 64,
    hidden_size: 64,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    qk_layernorm: true,
    max_position_embeddings: 64,
  },
} satisfies Architecture<PhiConfig>;
