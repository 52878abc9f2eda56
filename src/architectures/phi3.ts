import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import {
  type ConfigReader,
  decoderSizes,
  INERT_KEYS,
  openConfig,
  refuse,
  SIZE_KEYS,
  sameWindows,
} from '../blocks/config.js';
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
import type { WeightSource } from '../core/weights.js';

interface Phi3Config extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  windows: number[];
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
    'rms_norm_eps',
    'sliding_window',
    'layer_types',
  ],
  inert: [...INERT_KEYS, 'embd_pdrop', 'resid_pdrop'],
  unsupported: {
    attention_bias: [null, false],
    mlp_bias: [null, false],
    full_attn_mod: [null, 1],
    interpolate_factor: [null, 1],
    lm_head_bias: [null, false],
  },
};

const attention = { qkvBias: false, outputBias: false };

/** The rope with the names that earlier configs have for `longrope` (transformers: Phi3Config). */
function rope(reader: ConfigReader, maxPositions: number): RopeParameters {
  const parameters = ropeParameters(reader, { maxPositions, rotatesPart: true, lengthBeside: 4096 });
  const type = ['su', 'yarn'].includes(parameters.rope_type) ? 'longrope' : parameters.rope_type;
  if (!['default', 'longrope'].includes(type))
    refuse('rope_type', type, 'longrope, the one scaled rope of this family');
  return { ...parameters, rope_type: type };
}

/** q, k and v of a layer are rows of one qkv_proj, gate and up of one gate_up_proj. */
function fused(config: Phi3Config, index: number): Record<string, WeightSource> {
  const [attn, mlp] = [`${layerPath(index)}.self_attn`, `${layerPath(index)}.mlp`];
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = config;
  return {
    ...rowsOf(`${attn}.qkv_proj.weight`, {
      [`${attn}.q_proj.weight`]: heads * headDim,
      [`${attn}.k_proj.weight`]: kvHeads * headDim,
      [`${attn}.v_proj.weight`]: kvHeads * headDim,
    }),
    ...rowsOf(`${mlp}.gate_up_proj.weight`, {
      [`${mlp}.gate_proj.weight`]: config.intermediate_size,
      [`${mlp}.up_proj.weight`]: config.intermediate_size,
    }),
  };
}

/** Phi-3, Phi-3.5 and Phi-4 (transformers: models/phi3): llama with fused projections. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 4096 });
    const window = reader.has('sliding_window') ? reader.size('sliding_window') : undefined;
    const parameters = rope(reader, sizes.max_position_embeddings);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 8192),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      windows: sameWindows(reader, sizes.num_hidden_layers, window),
      rotary_dim: rotatedValues(parameters, sizes.head_dim),
      rope: parameters,
    };
  },

  weights(config, { contextLength }) {
    const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => fused(config, index));
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention),
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
              ...attention,
              positions: options.contextLength,
              window: config.windows[index],
              rotaryDim: config.rotary_dim,
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'phi3',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    partial_rotary_factor: 0.75,
    sliding_window: 8,
    max_position_embeddings: 64,
  },
} satisfies Architecture<Phi3Config>;
