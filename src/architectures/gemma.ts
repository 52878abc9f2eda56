import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import { decoderSizes, INERT_KEYS, openConfig, SIZE_KEYS } from '../blocks/config.js';
import { decoderWeights, drawDecoder, layerPath } from '../blocks/decoder.js';
import { onePlusNorms, preNormLayer, preNormWeights } from '../blocks/layers.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, ropeParameters, rotaryTables } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface GemmaConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_act: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [...SIZE_KEYS, ...ROPE_KEYS, 'intermediate_size', 'hidden_act', 'rms_norm_eps', 'attention_bias'],
  // transformers takes the function from hidden_act alone
  inert: [...INERT_KEYS, 'hidden_activation'],
  unsupported: { use_bidirectional_attention: [null, false] },
};

const attention = (config: GemmaConfig) => ({ qkvBias: config.attention_bias, outputBias: config.attention_bias });

/** Gemma 1 (transformers: models/gemma): llama with gains less one and embeddings times sqrt(hidden_size). */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 8192,
      num_key_value_heads: 16,
      head_dim: 256,
      tie_word_embeddings: true,
    });
    const named = activationOf(reader, 'hidden_act', 'gelu_pytorch_tanh');
    // the first release wrote "gelu" and meant the approximation (transformers: GemmaConfig)
    const isLegacy = reader.config.hidden_act === 'gelu';
    if (isLegacy) note?.('config.json: "hidden_act" is "gelu": gelu_pytorch_tanh is taken, as transformers does.');
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 24576),
      hidden_act: isLegacy ? 'gelu_pytorch_tanh' : named,
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      rope: ropeParameters(reader, { maxPositions: sizes.max_position_embeddings }),
    };
  },

  weights(config, { contextLength }) {
    return {
      ...onePlusNorms(
        decoderWeights(config, (index) => [
          ...preNormWeights(index),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...gatedMlpWeights(`${layerPath(index)}.mlp`),
        ]),
      ),
      ...rotaryTables(ropeFrequencies(config.rope, config.head_dim, contextLength), contextLength),
    };
  },

  build(config, options) {
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
      embeddingScale: Math.sqrt(config.hidden_size),
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
            }),
          (normed) => gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_act),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'gemma',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    head_dim: 16,
    max_position_embeddings: 64,
  },
} satisfies Architecture<GemmaConfig>;
