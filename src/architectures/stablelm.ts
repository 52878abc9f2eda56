import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, refuse, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, ENDS, layerPath } from '../blocks/decoder.js';
import { parallelLayer, parallelWeights, preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
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
import type { WeightSource } from '../core/weights.js';

interface StableLmConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  layer_norm_eps: number;
  use_qkv_bias: boolean;
  use_parallel_residual: boolean;
  qk_layernorm: boolean;
  /** Values of each head that are rotated. */
  rotary_dim: number;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_act',
    'layer_norm_eps',
    'use_qkv_bias',
    'use_parallel_residual',
    'qk_layernorm',
  ],
  inert: [...INERT_KEYS, 'hidden_dropout'],
  unsupported: {},
};

const attention = (config: StableLmConfig) => ({
  qkvBias: config.use_qkv_bias,
  outputBias: false,
  queryKeyNorm: config.qk_layernorm
    ? {
        q: 'q_layernorm',
        k: 'k_layernorm',
        form: { epsilon: config.layer_norm_eps, bias: false },
        gains: 'own' as const,
      }
    : undefined,
});

/** The gains of q and k, of which the checkpoint stores a vector for each head. */
function headGains(config: StableLmConfig): Record<string, WeightSource> {
  const gains: Record<string, WeightSource> = {};
  const counts = { q_layernorm: config.num_attention_heads, k_layernorm: config.num_key_value_heads };
  for (let index = 0; index < config.num_hidden_layers; index++) {
    for (const [which, heads] of Object.entries(counts)) {
      const path = `${layerPath(index)}.self_attn.${which}`;
      gains[`${path}.weight`] = { concat: Array.from({ length: heads }, (_, head) => `${path}.norms.${head}.weight`) };
    }
  }
  return gains;
}

const norm = (config: StableLmConfig) => ({ epsilon: config.layer_norm_eps, bias: true });

/** StableLM (transformers: models/stablelm): LayerNorms, a quarter of each head rotated, optionally parallel layers. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 4096, num_key_value_heads: 32 });
    // transformers reads a head_dim for the rope alone
    if (sizes.head_dim * sizes.num_attention_heads !== sizes.hidden_size) {
      refuse('head_dim', sizes.head_dim, 'hidden_size divided by num_attention_heads');
    }
    const rope = ropeParameters(reader, {
      maxPositions: sizes.max_position_embeddings,
      rotatesPart: true,
      defaultPart: 0.25,
    });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 6912),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      layer_norm_eps: reader.positive('layer_norm_eps', 1e-5),
      use_qkv_bias: reader.flag('use_qkv_bias', false),
      use_parallel_residual: reader.flag('use_parallel_residual', false),
      qk_layernorm: reader.flag('qk_layernorm', false),
      rotary_dim: rotatedValues(rope, sizes.head_dim),
      rope,
    };
  },

  weights(config, { contextLength }) {
    const norms = config.use_parallel_residual ? parallelWeights : preNormWeights;
    return {
      ...decoderWeights(
        config,
        (index) => [
          ...norms(index, norm(config)),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...gatedMlpWeights(`${layerPath(index)}.mlp`),
        ],
        normWeights(ENDS.norm, norm(config)),
      ),
      ...(config.qk_layernorm ? headGains(config) : {}),
      ...rotaryTables(ropeFrequencies(config.rope, config.rotary_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    const layer = config.use_parallel_residual ? parallelLayer : preNormLayer;
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: norm(config),
      layer: (g, x, index) =>
        layer(
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
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'stablelm',
    vocab_size: 64,
    hidden_size: 64,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    use_qkv_bias: true,
    qk_layernorm: true,
    max_position_embeddings: 64,
  },
} satisfies Architecture<StableLmConfig>;
