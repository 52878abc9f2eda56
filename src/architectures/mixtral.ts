import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS, sameWindows } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf } from '../blocks/mlp.js';
import { type ExpertNames, plainRouting, type Routing, routedExperts, routedExpertsWeights } from '../blocks/moe.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface MixtralConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  windows: number[];
  routing: Routing;
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
    'num_local_experts',
    'num_experts_per_tok',
  ],
  inert: [...INERT_KEYS, 'output_router_logits', 'router_aux_loss_coef', 'router_jitter_noise'],
  unsupported: { attention_bias: [null, false] },
  aliases: [['num_experts', 'num_local_experts']],
};

const attention = { qkvBias: false, outputBias: false };

const names = (index: number): ExpertNames => {
  const path = `${layerPath(index)}.block_sparse_moe`;
  return { router: `${path}.gate`, experts: `${path}.experts`, gate: 'w1', up: 'w3', down: 'w2' };
};

/** Mixtral (transformers: models/mixtral): mistral with routed experts; the chosen weights sum to one. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, { max_position_embeddings: 131072, num_key_value_heads: 8 });
    const window = reader.has('sliding_window') ? reader.size('sliding_window') : undefined;
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 14336),
      hidden_act: activationOf(reader, 'hidden_act', 'silu'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-5),
      windows: sameWindows(reader, sizes.num_hidden_layers, window),
      routing: plainRouting(reader.size('num_local_experts', 8), reader.size('num_experts_per_tok', 2), true),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings, defaultTheta: 1e6 }),
    };
  },

  weights(config, { contextLength }) {
    const experts = Array.from({ length: config.num_hidden_layers }, (_, index) =>
      routedExpertsWeights(names(index), config.routing.experts),
    );
    return {
      ...decoderWeights(config, (index) => [
        ...preNormWeights(index),
        ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention),
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
              ...attention,
              positions: options.contextLength,
              window: config.windows[index],
            }),
          (normed) =>
            g.scope('moe', () =>
              routedExperts(g, normed, names(index), config.routing, config.intermediate_size, config.hidden_act),
            ),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'mixtral',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_local_experts: 4,
    num_experts_per_tok: 2,
    max_position_embeddings: 64,
  },
} satisfies Architecture<MixtralConfig>;
