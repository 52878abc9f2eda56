import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, ENDS, layerPath } from '../blocks/decoder.js';
import { onePlusNorms, preNormLayer, preNormWeights } from '../blocks/layers.js';
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

interface NemotronConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  norm_eps: number;
  attention_bias: boolean;
  mlp_bias: boolean;
  /** Values of each head that are rotated. */
  rotary_dim: number;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'norm_eps', 'attention_bias', 'mlp_bias'],
  // earlier releases wrote these, which nothing reads
  inert: [...INERT_KEYS, 'hidden_dropout', 'rope_percent', 'rope_percentage', 'kv_channels'],
  unsupported: {},
};

const MLP = { up: 'up_proj', down: 'down_proj' };

const attention = (config: NemotronConfig) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

const norm = (config: NemotronConfig) => ({ epsilon: config.norm_eps, bias: true });

/**
 * Nemotron-4 and Minitron (transformers: models/nemotron): LayerNorms with gains less one, half of each head rotated, an
 * MLP of relu squared and no gate.
 */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 4096 });
    const rope = ropeParameters(reader, {
      maxPositions: sizes.max_position_embeddings,
      rotatesPart: true,
      defaultPart: 0.5,
    });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 24576),
      hidden_act: activationOf(reader, 'hidden_act', 'relu2'),
      norm_eps: reader.positive('norm_eps', 1e-5),
      attention_bias: reader.flag('attention_bias', false),
      mlp_bias: reader.flag('mlp_bias', false),
      rotary_dim: rotatedValues(rope, sizes.head_dim),
      rope,
    };
  },

  weights(config, { contextLength }) {
    return {
      ...onePlusNorms(
        decoderWeights(
          config,
          (index) => [
            ...preNormWeights(index, norm(config)),
            ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
            ...plainMlpWeights(`${layerPath(index)}.mlp`, MLP, config.mlp_bias),
          ],
          normWeights(ENDS.norm, norm(config)),
        ),
      ),
      ...rotaryTables(ropeFrequencies(config.rope, config.rotary_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    const { intermediate_size: intermediate, hidden_act: activation, mlp_bias: bias } = config;
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
              window: 0,
              rotaryDim: config.rotary_dim,
            }),
          (normed) => plainMlp(g, normed, `${layerPath(index)}.mlp`, MLP, intermediate, activation, bias),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'nemotron',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 64,
  },
} satisfies Architecture<NemotronConfig>;
