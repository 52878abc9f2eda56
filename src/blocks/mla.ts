import type { DecoderConfig } from '../core/architecture.js';
import { yarnMagnitude } from '../core/rope-factors.js';
import type { GraphBuilder, Value } from '../graph/builder.js';
import { rotary } from './attention.js';
import { type ConfigReader, type DecoderDefaults, decoderSizes } from './config.js';
import { linear } from './decoder.js';
import { rmsNorm } from './norm.js';
import type { RopeParameters } from './rope.js';

/** Epsilon of the norms inside latent attention: transformers and the authors' code have 1e-6 whatever the config says. */
const LATENT_NORM_EPS = 1e-6;

/** Sizes of multi-head latent attention, by config.json's names. */
export interface LatentAttentionConfig extends DecoderConfig {
  q_lora_rank: number | null;
  kv_lora_rank: number;
  qk_nope_head_dim: number;
  qk_rope_head_dim: number;
  v_head_dim: number;
  /** Biases on q_a_proj, kv_a_proj_with_mqa and o_proj; those in between have none. */
  attention_bias: boolean;
}

/** Config keys that `latentAttentionSizes` reads beside those of every decoder. */
export const LATENT_ATTENTION_KEYS = [
  'q_lora_rank',
  'kv_lora_rank',
  'qk_nope_head_dim',
  'qk_rope_head_dim',
  'v_head_dim',
  'attention_bias',
];

/** The sizes of a decoder with latent attention; a null `q_lora_rank` means a plain q_proj. */
export function latentAttentionSizes(reader: ConfigReader, defaults: DecoderDefaults): LatentAttentionConfig {
  const nope = reader.size('qk_nope_head_dim', 128);
  const rope = reader.size('qk_rope_head_dim', 64);
  const sizes = decoderSizes(reader, { ...defaults, head_dim: nope + rope });
  return {
    ...sizes,
    // every head has its own keys and values; configs repeat num_attention_heads or say something unused
    num_key_value_heads: sizes.num_attention_heads,
    head_dim: nope + rope,
    q_lora_rank: reader.config.q_lora_rank === null ? null : reader.size('q_lora_rank', 1536),
    kv_lora_rank: reader.size('kv_lora_rank', 512),
    qk_nope_head_dim: nope,
    qk_rope_head_dim: rope,
    v_head_dim: reader.size('v_head_dim', 128),
    attention_bias: reader.flag('attention_bias', false),
  };
}

/**
 * Factor on the scores: 1/sqrt(nope + rope), times YaRN's magnitude for `mscale_all_dim` squared. The authors' code and
 * transformers' newer class have the magnitude; the older class leaves it out, against how its checkpoints were trained.
 */
export function latentAttentionScale(config: LatentAttentionConfig, rope: RopeParameters): number {
  const plain = 1 / Math.sqrt(config.qk_nope_head_dim + config.qk_rope_head_dim);
  if (rope.rope_type === 'default') return plain;
  const allDim = rope.reader.number('mscale_all_dim', 0);
  return allDim === 0 ? plain : plain * yarnMagnitude(rope.reader.positive('factor', 1), allDim) ** 2;
}

/**
 * Multi-head latent attention (DeepSeek-V2, section 2.1) on x [.., hidden_size], weights under `<path>.kv_b_proj` and so
 * on. `layer` counts the caches of the graph. The rotation pairs neighbours, (2i, 2i + 1), unless `interleaved` is false.
 */
export function latentAttention(
  g: GraphBuilder,
  config: LatentAttentionConfig,
  x: Value,
  layer: number,
  path: string,
  drawing: { positions: number; scale: number; interleaved?: boolean },
): Value {
  const { num_attention_heads: heads, kv_lora_rank: latent, v_head_dim: valueDim } = config;
  const { qk_nope_head_dim: nope, qk_rope_head_dim: rope } = config;
  const { positions, interleaved = true } = drawing;
  const bias = config.attention_bias;
  return g.scope('attn', () => {
    let q = x;
    if (config.q_lora_rank !== null) {
      q = linear(g, q, 'q_a_proj/MatMul', `${path}.q_a_proj`, config.q_lora_rank, bias);
      q = rmsNorm(g, q, 'q_a_layernorm/LayerNorm', `${path}.q_a_layernorm`, LATENT_NORM_EPS);
    }
    const lastOfQuery = config.q_lora_rank === null ? 'q_proj' : 'q_b_proj';
    q = linear(g, q, `${lastOfQuery}/MatMul`, `${path}.${lastOfQuery}`, heads * (nope + rope), false);
    q = rotary(g, q, 'q_rotary/RotaryEmbedding', heads, nope + rope, positions, {
      offset: nope,
      rotaryDim: rope,
      interleaved,
    });
    const projected = linear(g, x, 'kv_a_proj_with_mqa/MatMul', `${path}.kv_a_proj_with_mqa`, latent + rope, bias);
    let c = g.node('Slice', 'kv_a/Slice', [projected], { from: 0, to: latent }, latent);
    c = rmsNorm(g, c, 'kv_a_layernorm/LayerNorm', `${path}.kv_a_layernorm`, LATENT_NORM_EPS);
    let kRope = g.node('Slice', 'k_rope/Slice', [projected], { from: latent, to: latent + rope }, rope);
    kRope = rotary(g, kRope, 'k_rotary/RotaryEmbedding', 1, rope, positions, { interleaved });
    const kvB = g.weight(`${path}.kv_b_proj.weight`, [heads * (nope + valueDim), latent]);
    const attended = g.node(
      'LatentAttention',
      'LatentAttention',
      [q, c, kRope, kvB],
      { layer, heads, nope, rope, v_head_dim: valueDim, kv_lora: latent, scale: { float: drawing.scale } },
      heads * valueDim,
    );
    return linear(g, attended, 'o_proj/MatMul', `${path}.o_proj`, config.hidden_size, bias);
  });
}

/** Names of the weights that `latentAttention` draws. */
export function latentAttentionWeights(config: LatentAttentionConfig, path: string): string[] {
  const query = config.q_lora_rank === null ? ['q_proj'] : ['q_a_proj', 'q_a_layernorm', 'q_b_proj'];
  const biased = config.q_lora_rank === null ? [] : ['q_a_proj'];
  return [
    ...[...query, 'kv_a_proj_with_mqa', 'kv_a_layernorm', 'kv_b_proj', 'o_proj'].map(
      (each) => `${path}.${each}.weight`,
    ),
    ...(config.attention_bias ? [...biased, 'kv_a_proj_with_mqa', 'o_proj'].map((each) => `${path}.${each}.bias`) : []),
  ];
}
