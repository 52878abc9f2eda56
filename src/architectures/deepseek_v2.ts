import { type ConfigReader, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import {
  LATENT_ATTENTION_KEYS,
  type LatentAttentionConfig,
  latentAttention,
  latentAttentionScale,
  latentAttentionSizes,
  latentAttentionWeights,
} from '../blocks/mla.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import {
  checkedRouting,
  expertNames,
  plainRouting,
  type Routing,
  routedExperts,
  routedExpertsWeights,
  sharedExperts,
  sharedExpertsWeights,
} from '../blocks/moe.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys } from '../core/architecture.js';

interface DeepseekV2Config extends LatentAttentionConfig {
  intermediate_size: number;
  moe_intermediate_size: number;
  n_shared_experts: number;
  first_k_dense_replace: number;
  moe_layer_freq: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  routing: Routing;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    ...LATENT_ATTENTION_KEYS,
    'intermediate_size',
    'moe_intermediate_size',
    'n_routed_experts',
    'n_shared_experts',
    'num_experts_per_tok',
    'n_group',
    'topk_group',
    'topk_method',
    'routed_scaling_factor',
    'first_k_dense_replace',
    'moe_layer_freq',
    'hidden_act',
    'rms_norm_eps',
  ],
  inert: [...INERT_KEYS, 'aux_loss_alpha', 'ep_size', 'qk_head_dim', 'seq_aux'],
  unsupported: {
    mlp_bias: [null, false],
    scoring_func: [null, 'softmax'],
    // transformers ignores it, the authors' code drops routed_scaling_factor with it: no checkpoint has it
    norm_topk_prob: [null, false],
  },
  aliases: [['num_experts', 'n_routed_experts']],
};

/** Softmax scores, weighed as they are; the best of all, or of the groups with the greatest scores. */
function routing(reader: ConfigReader): Routing {
  const grouped = reader.choice('topk_method', ['greedy', 'group_limited_greedy'], 'greedy') === 'group_limited_greedy';
  return checkedRouting({
    ...plainRouting(reader.size('n_routed_experts', 64), reader.size('num_experts_per_tok'), false),
    groups: grouped ? reader.size('n_group') : 1,
    chosenGroups: grouped ? reader.size('topk_group') : 1,
    scale: reader.number('routed_scaling_factor', 1),
  });
}

const isSparse = (config: DeepseekV2Config, index: number) =>
  index >= config.first_k_dense_replace && index % config.moe_layer_freq === 0;

/** DeepSeek-V2 and V2-Lite (transformers: models/deepseek_v2): latent attention, routed and shared experts. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = latentAttentionSizes(reader, { max_position_embeddings: 2048 });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 11008),
      moe_intermediate_size: reader.size('moe_intermediate_size', 1407),
      n_shared_experts: reader.config.n_shared_experts === null ? 0 : reader.count('n_shared_experts', 2),
      first_k_dense_replace: reader.count('first_k_dense_replace', 0),
      moe_layer_freq: reader.size('moe_layer_freq', 1),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      routing: routing(reader),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    const experts = Array.from({ length: config.num_hidden_layers }, (_, index) =>
      isSparse(config, index)
        ? routedExpertsWeights(expertNames(`${layerPath(index)}.mlp`), config.routing.experts)
        : {},
    );
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...latentAttentionWeights(config, `${layerPath(index)}.self_attn`),
        ...(isSparse(config, index)
          ? sharedExpertsWeights(`${layerPath(index)}.mlp`, config.n_shared_experts)
          : gatedMlpWeights(`${layerPath(index)}.mlp`)),
      ]),
      ...Object.assign({}, ...experts),
      ...rotaryTables(ropeFrequencies(config.rope, config.qk_rope_head_dim, contextLength), contextLength),
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
            latentAttention(g, config, normed, index, `${layerPath(index)}.self_attn`, {
              positions: options.contextLength,
              scale: latentAttentionScale(config, config.rope),
            }),
          (normed) => {
            const mlp = `${layerPath(index)}.mlp`;
            if (!isSparse(config, index)) return gatedMlp(g, normed, mlp, config.intermediate_size, config.hidden_act);
            const width = config.moe_intermediate_size;
            const routed = g.scope('moe', () =>
              routedExperts(g, normed, expertNames(mlp), config.routing, width, config.hidden_act),
            );
            return sharedExperts(g, normed, routed, mlp, config.n_shared_experts * width, config.hidden_act);
          },
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'deepseek_v2',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    moe_intermediate_size: 16,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    q_lora_rank: null,
    kv_lora_rank: 16,
    qk_nope_head_dim: 16,
    qk_rope_head_dim: 8,
    v_head_dim: 16,
    n_routed_experts: 8,
    n_shared_experts: 2,
    num_experts_per_tok: 3,
    topk_method: 'group_limited_greedy',
    n_group: 4,
    topk_group: 2,
    first_k_dense_replace: 1,
    max_position_embeddings: 64,
    rope_scaling: {
      type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 16,
      beta_fast: 32,
      beta_slow: 1,
      mscale: 0.8,
      mscale_all_dim: 0.8,
    },
  },
} satisfies Architecture<DeepseekV2Config>;
