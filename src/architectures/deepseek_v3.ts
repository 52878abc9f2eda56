import { type ConfigReader, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath, stored } from '../blocks/decoder.js';
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
  type Routing,
  routedExperts,
  routedExpertsWeights,
  sharedExperts,
  sharedExpertsWeights,
} from '../blocks/moe.js';
import { drawPrediction, HIDDEN_STATES, PREDICTION_GRAPH, predictionWeights } from '../blocks/prediction.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ArchitectureOptions, ConfigKeys } from '../core/architecture.js';
import type { Graph } from '../core/graph.js';
import type { GraphBuilder, Value } from '../graph/builder.js';

interface DeepseekV3Config extends LatentAttentionConfig {
  intermediate_size: number;
  moe_intermediate_size: number;
  n_shared_experts: number;
  first_k_dense_replace: number;
  moe_layer_freq: number;
  num_nextn_predict_layers: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  routing: Routing;
  rope: RopeParameters;
  /** Whether the rotation pairs neighbours; false: the two halves. */
  rope_interleave: boolean;
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
    'scoring_func',
    'norm_topk_prob',
    'routed_scaling_factor',
    'first_k_dense_replace',
    'moe_layer_freq',
    'hidden_act',
    'rms_norm_eps',
    'rope_interleave',
  ],
  inert: [...INERT_KEYS, 'aux_loss_alpha', 'ep_size', 'qk_head_dim', 'seq_aux'],
  unsupported: { num_nextn_predict_layers: [null, 0, 1] },
  aliases: [
    ['num_local_experts', 'n_routed_experts'],
    ['num_nextn_predict_layers', 'num_mtp_layers'],
  ],
};

/** Sigmoid scores; a bias moves the choice, not the weights; groups by the sum of their two best (section 2.1.2). */
function routing(reader: ConfigReader): Routing {
  reader.choice('topk_method', ['noaux_tc'], 'noaux_tc');
  return checkedRouting({
    experts: reader.size('n_routed_experts', 256),
    topK: reader.size('num_experts_per_tok', 8),
    scoring: reader.choice('scoring_func', ['sigmoid'], 'sigmoid'),
    groups: reader.size('n_group', 8),
    chosenGroups: reader.size('topk_group', 4),
    groupScore: 'top2',
    normalize: reader.flag('norm_topk_prob', true),
    normalizeEpsilon: 1e-20,
    scale: reader.number('routed_scaling_factor', 2.5),
  });
}

const isSparse = (config: DeepseekV3Config, index: number) =>
  index >= config.first_k_dense_replace && index % config.moe_layer_freq === 0;

const mlpNames = (index: number) => {
  const names = expertNames(`${layerPath(index)}.mlp`);
  return { ...names, correction: `${names.router}.e_score_correction_bias` };
};

function layerWeights(config: DeepseekV3Config, index: number, sparse: boolean) {
  const mlp = `${layerPath(index)}.mlp`;
  return {
    ...stored(preNormWeights(index)),
    ...stored(latentAttentionWeights(config, `${layerPath(index)}.self_attn`)),
    ...(sparse
      ? {
          ...routedExpertsWeights(mlpNames(index), config.routing.experts),
          ...stored(sharedExpertsWeights(mlp, config.n_shared_experts)),
        }
      : stored(gatedMlpWeights(mlp))),
  };
}

function drawLayer(
  g: GraphBuilder,
  config: DeepseekV3Config,
  x: Value,
  index: number,
  cache: number,
  sparse: boolean,
  options: ArchitectureOptions,
): Value {
  const mlp = `${layerPath(index)}.mlp`;
  return preNormLayer(
    g,
    x,
    index,
    config.rms_norm_eps,
    (normed) =>
      latentAttention(g, config, normed, cache, `${layerPath(index)}.self_attn`, {
        positions: options.contextLength,
        scale: latentAttentionScale(config, config.rope),
        interleaved: config.rope_interleave,
      }),
    (normed) => {
      if (!sparse) return gatedMlp(g, normed, mlp, config.intermediate_size, config.hidden_act);
      const width = config.moe_intermediate_size;
      const routed = g.scope('moe', () =>
        routedExperts(g, normed, mlpNames(index), config.routing, width, config.hidden_act),
      );
      return sharedExperts(g, normed, routed, mlp, config.n_shared_experts * width, config.hidden_act);
    },
  );
}

/** DeepSeek-V3 and R1 (transformers: models/deepseek_v3): latent attention, grouped routing, multi-token prediction. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = latentAttentionSizes(reader, { max_position_embeddings: 4096 });
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 18432),
      moe_intermediate_size: reader.size('moe_intermediate_size', 2048),
      n_shared_experts: reader.config.n_shared_experts === null ? 0 : reader.count('n_shared_experts', 1),
      first_k_dense_replace: reader.count('first_k_dense_replace', 3),
      moe_layer_freq: reader.size('moe_layer_freq', 1),
      num_nextn_predict_layers: reader.count('num_nextn_predict_layers', 0),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      routing: routing(reader),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
      rope_interleave: reader.flag('rope_interleave', true),
    };
  },

  // transformers has no such layer and leaves it out where it writes a checkpoint, and so does mlx-lm
  withoutMissingPart(config, stores) {
    const layer = `model.layers.${config.num_hidden_layers}`;
    if (config.num_nextn_predict_layers === 0 || stores(`${layer}.`)) return undefined;
    return {
      config: { ...config, num_nextn_predict_layers: 0 },
      note: `no tensor of ${layer} is stored: multi-token prediction, which config.json names, is left out.`,
    };
  },

  weights(config, { contextLength }) {
    const layers = Array.from({ length: config.num_hidden_layers }, (_, index) =>
      layerWeights(config, index, isSparse(config, index)),
    );
    return {
      ...decoderWeights(config, () => []),
      ...Object.assign({}, ...layers),
      ...(config.num_nextn_predict_layers > 0
        ? { ...layerWeights(config, config.num_hidden_layers, true), ...stored(predictionWeights(config)) }
        : {}),
      ...rotaryTables(ropeFrequencies(config.rope, config.qk_rope_head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
      hiddenStatesOutput: config.num_nextn_predict_layers > 0 ? HIDDEN_STATES : undefined,
      layer: (g, x, index) => drawLayer(g, config, x, index, index, isSparse(config, index), options),
    });
  },

  extraGraphs(config, options): Record<string, Graph> {
    if (config.num_nextn_predict_layers === 0) return {};
    const graph = drawPrediction(config, this.weights(config, options), config.rms_norm_eps, (g, x, index) =>
      drawLayer(g, config, x, index, 0, true, options),
    );
    return { [PREDICTION_GRAPH]: graph };
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'deepseek_v3',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    moe_intermediate_size: 16,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    q_lora_rank: 24,
    kv_lora_rank: 16,
    qk_nope_head_dim: 16,
    qk_rope_head_dim: 8,
    v_head_dim: 12,
    n_routed_experts: 8,
    n_shared_experts: 1,
    num_experts_per_tok: 3,
    n_group: 4,
    topk_group: 2,
    first_k_dense_replace: 1,
    num_nextn_predict_layers: 1,
    max_position_embeddings: 64,
    rope_scaling: {
      type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 16,
      beta_fast: 32,
      beta_slow: 1,
      mscale: 1,
      mscale_all_dim: 1,
    },
  },
} satisfies Architecture<DeepseekV3Config>;
