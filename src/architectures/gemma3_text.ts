import { selfAttention, selfAttentionWeights } from '../blocks/attention.js';
import {
  ConfigReader,
  decoderSizes,
  INERT_KEYS,
  layerWindows,
  openConfig,
  refuse,
  SIZE_KEYS,
} from '../blocks/config.js';
import {
  decoderWeights,
  drawDecoder,
  layerPath,
  onePlusNorms,
  sandwichNormLayer,
  sandwichNormWeights,
} from '../blocks/decoder.js';
import { type ActivationName, activationOf, gatedMlp, gatedMlpWeights } from '../blocks/mlp.js';
import { ROPE_KEYS, type RopeParameters, ropeFrequencies, rotaryTables, standardRope } from '../blocks/rope.js';
import type { Architecture, ConfigKeys, DecoderConfig } from '../core/architecture.js';

interface Gemma3TextConfig extends DecoderConfig {
  intermediate_size: number;
  hidden_activation: ActivationName;
  rms_norm_eps: number;
  attention_bias: boolean;
  query_pre_attn_scalar: number;
  /** 0 for none. */
  final_logit_softcapping: number;
  windows: number[];
  rope: RopeParameters;
  /** Rope of the layers with a window. */
  local_rope: RopeParameters;
}

const keys: ConfigKeys = {
  read: [
    ...SIZE_KEYS,
    ...ROPE_KEYS,
    'intermediate_size',
    'hidden_activation',
    'rms_norm_eps',
    'attention_bias',
    'query_pre_attn_scalar',
    'attn_logit_softcapping',
    'final_logit_softcapping',
    'sliding_window',
    'sliding_window_pattern',
    'rope_local_base_freq',
    'layer_types',
  ],
  // transformers takes the function from hidden_activation alone, and writes _sliding_window_pattern without reading it
  inert: [...INERT_KEYS, 'hidden_act', '_sliding_window_pattern'],
  unsupported: { use_bidirectional_attention: [null, false] },
};

const attention = (config: Gemma3TextConfig) => ({
  qkvBias: config.attention_bias,
  outputBias: config.attention_bias,
  headNormEps: config.rms_norm_eps,
});

/** Names of the local rope's tables end in this. */
const LOCAL = '_local';

/**
 * The ropes of layers without and with a window: their entries of `rope_parameters` (transformers 5), or `rope_theta` and
 * `rope_local_base_freq`. `rope_scaling` is put over the first one's entry; a length beside the ropes is not read.
 */
function ropes(reader: ConfigReader, maxPositions: number): { rope: RopeParameters; local_rope: RopeParameters } {
  const { original_max_position_embeddings: _, ...config } = reader.config;
  const { full_attention = null, sliding_attention = null, ...flat } = reader.object('rope_parameters') ?? {};
  const scaling = reader.object('rope_scaling');
  const entries = new ConfigReader({ full_attention, sliding_attention });
  const [full, local] = [entries.object('full_attention'), entries.object('sliding_attention')];
  if (scaling && reader.has('rope_parameters') && !full) {
    refuse('rope_parameters', reader.config.rope_parameters, 'an entry "full_attention", which "rope_scaling" changes');
  }
  // an entry that is not there has the rope_type "default", which a "type" in rope_scaling does not change
  const settings = { ...(full ?? { rope_type: 'default' }), ...scaling };
  const beside = new ConfigReader(config, reader.note);
  const rope = standardRope(beside, settings, { maxPositions, defaultTheta: 1e6 });
  const { rope_theta: __, rope_local_base_freq: base, ...rest } = config;
  const ofWindows = base === undefined ? rest : { ...rest, rope_theta: base };
  const local_rope = standardRope(new ConfigReader(ofWindows, reader.note), { ...local }, { maxPositions });
  if (Object.keys(flat).some((key) => key !== 'truncate')) {
    reader.note(
      'config.json: "rope_parameters" has settings beside its entries for each kind of layer: they are passed over, as ' +
        `transformers does for this family; rope_theta is ${rope.rope_theta}, and ${local_rope.rope_theta} with a window.`,
    );
  }
  if (full && scaling && Object.keys(scaling).some((key) => key in full && full[key] !== scaling[key])) {
    reader.note(
      'config.json: "rope_scaling" is put over the entry "full_attention" of "rope_parameters", as transformers does; ' +
        `rope_theta is ${rope.rope_theta}.`,
    );
  }
  // transformers looks for it beside the entries
  const truncate = flat.truncate === undefined || Boolean(flat.truncate);
  return { rope: { ...rope, truncate }, local_rope: { ...local_rope, truncate } };
}

const cap = (reader: ConfigReader, key: string) => (reader.has(key) ? reader.positive(key) : 0);

/** Gemma 3's text model (transformers: models/gemma3): five layers slide with a rope of their own, the sixth sees all. */
export default {
  keys,

  parseConfig(config, note) {
    const reader = openConfig(config, keys, note);
    const sizes = decoderSizes(reader, {
      max_position_embeddings: 131072,
      num_key_value_heads: 4,
      head_dim: 256,
      tie_word_embeddings: true,
    });
    const pattern = reader.size('sliding_window_pattern', 6);
    if (reader.has('attn_logit_softcapping')) {
      reader.note(
        'config.json: "attn_logit_softcapping" is passed over: transformers never applies it in this family.',
      );
    }
    const window = reader.config.sliding_window === null ? undefined : reader.count('sliding_window', 4096);
    return {
      ...sizes,
      intermediate_size: reader.size('intermediate_size', 9216),
      hidden_activation: activationOf(reader, 'hidden_activation', 'gelu_pytorch_tanh'),
      rms_norm_eps: reader.positive('rms_norm_eps', 1e-6),
      attention_bias: reader.flag('attention_bias', false),
      query_pre_attn_scalar: reader.positive('query_pre_attn_scalar', 256),
      final_logit_softcapping: cap(reader, 'final_logit_softcapping'),
      windows: layerWindows(reader, sizes.num_hidden_layers, window, (layer) => (layer + 1) % pattern !== 0),
      ...ropes(reader, sizes.max_position_embeddings),
    };
  },

  weights(config, { contextLength }) {
    const tables = (rope: RopeParameters, suffix: string) =>
      rotaryTables(ropeFrequencies(rope, config.head_dim, contextLength), contextLength, suffix);
    return {
      ...onePlusNorms(
        decoderWeights(config, (index) => [
          ...sandwichNormWeights(index),
          ...selfAttentionWeights(`${layerPath(index)}.self_attn`, attention(config)),
          ...gatedMlpWeights(`${layerPath(index)}.mlp`),
        ]),
      ),
      ...(config.windows.includes(0) ? tables(config.rope, '') : {}),
      ...(config.windows.some((window) => window > 0) ? tables(config.local_rope, LOCAL) : {}),
    };
  },

  build(config, options) {
    return drawDecoder(config, this.weights(config, options), {
      norm_eps: config.rms_norm_eps,
      embeddingScale: Math.sqrt(config.hidden_size),
      logitsSoftcap: config.final_logit_softcapping || undefined,
      layer: (g, x, index) =>
        sandwichNormLayer(
          g,
          x,
          index,
          config.rms_norm_eps,
          (normed) =>
            selfAttention(g, config, normed, index, `${layerPath(index)}.self_attn`, {
              ...attention(config),
              positions: options.contextLength,
              window: config.windows[index],
              rope: config.windows[index] === 0 ? '' : LOCAL,
              scale: config.query_pre_attn_scalar ** -0.5,
            }),
          (normed) =>
            gatedMlp(g, normed, `${layerPath(index)}.mlp`, config.intermediate_size, config.hidden_activation),
        ),
    });
  },

  ignored: ['*.rotary_emb.inv_freq'],

  example: {
    model_type: 'gemma3_text',
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    query_pre_attn_scalar: 20,
    sliding_window: 8,
    sliding_window_pattern: 3,
    rope_scaling: { rope_type: 'linear', factor: 8 },
    max_position_embeddings: 64,
  },
} satisfies Architecture<Gemma3TextConfig>;
