import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS, sameWindows } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { expertNames, plainRouting, type Routing, routedExperts, routedExpertsWeights } from '../blocks/moe.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Qwen3MoeConfig extends DecoderConfig {
  intermediate_size: number;
  moe_intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  windows: number[];
  /** Whether a layer has experts. */
  sparse: boolean[];
  routing: Routing;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'moe_intermediate_size',
    'hidden_act',
    'rms_norm_eps',
    'attention_bias',
    'use_sliding_window',
    'sliding_window',
    'layer_types',
    'decoder_sparse_step',
    'mlp_only_layers',
    'num_experts',
    'num_experts_per_tok',
    'norm_topk_prob',
  ],
  // transformers does not read max_window_layers: with use_sliding_window every layer slides
  inert: [...INERT_KEYS, 'max_window_layers', 'output_router_logits', 'router_aux_loss_coef'],
  unsupported: {},
  aliases: [['num_local_experts', 'num_experts']],
};

const attention = (config: Qwen3MoeConfig) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_bias,
  headNormEps: config.rms_norm_eps,
});

const names = (index: number) => expertNames(`${layerPath(index)}.mlp`);

/** Qwen3-MoE (transformers: models/qwen3_moe): qwen3 with routed experts in most layers. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 32768, num_key_value_heads: 4 });
    const window = reader.flag('use_sliding_window', false) ? reader.size('sliding_window', 4096) : undefined;
    const dense = reader.integers('mlp_only_layers') ?? [];
    const step = reader.size('decoder_sparse_step', 1);
    // none: every layer is dense
    const experts = reader.count('num_experts', 128);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 6144),
      moe_intermediate_size: reader.size('moe_intermediate_size', 768),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      windows: sameWindows(reader, sizes.num_hidden_layers, window),
      sparse: Array.from(
        { length: sizes.num_hidden_layers },
        (_, index) => experts > 0 && !dense.includes(index) && (index + 1) % step === 0,
      ),
      routing: plainRouting(
        experts,
        experts === 0 ? 0 : reader.size('num_experts_per_tok', 8),
        reader.flag('norm_topk_prob', false),
      ),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    const experts = config.sparse.map((sparse, index) =>
      sparse ? routedExpertsWeights(names(index), config.routing.experts) : {},
    );
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
        ...(config.sparse[index] ? [] : gatedMlpWeights(`${layerPath(index)}.mlp`)),
      ]),
      ...Object.assign({}, ...experts),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
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
            }),
          (normed) => {
            const { moe_intermediate_size: width, intermediate_size: dense, hidden_act } = config;
            if (!config.sparse[index]) return gatedMlp(g, normed, `${layerPath(index)}.mlp`, dense, hidden_act);
            return g.scope('moe', () => routedExperts(g, normed, names(index), config.routing, width, hidden_act));
          },
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'qwen3_moe',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    moe_intermediate_size: 16,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    num_experts: 6,
    num_experts_per_tok: 2,
    norm_topk_prob: true,
    mlp_only_layers: [1],
    max_position_embeddings: 64,
  },
} satisfies Architecture<Qwen3MoeConfig>;
