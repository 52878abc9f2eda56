import type { DecoderConfig } from '../core/architecture.js';
import type { GraphBuilder, Value } from '../graph/builder.js';
import { linear, rmsNorm } from './decoder.js';
import { rotaryNames } from './rope.js';

/** Grouped-query attention of a family; names of weights follow transformers' `self_attn`. */
export interface AttentionDrawing {
  positions: number;
  /** Biases on q, k and v, and on the output projection. */
  qkvBias: boolean;
  outputBias: boolean;
  /** Epsilon of a norm over each head of q and k, where the family has one. */
  headNormEps?: number;
  /** Window of this layer in tokens, the own one included; 0 for none. */
  window: number;
  /** Factor on q k^T; 1/sqrt(head_dim) unless the family says otherwise. */
  scale?: number;
  softcap?: number;
  /** Suffix of the rotary tables' names, for models with more than one rope; null for a layer without rotary. */
  rope?: string | null;
  /** Values of each head that are rotated, its first; all unless the family says otherwise. */
  rotaryDim?: number;
  /** Draws q, k and v where the checkpoint stores them fused. */
  project?: (g: GraphBuilder, x: Value, path: string) => { q: Value; k: Value; v: Value };
}

/** Rotates each head of [.., heads * head_dim] by the position of its token. */
export function rotary(
  g: GraphBuilder,
  x: Value,
  segment: string,
  heads: number,
  headDim: number,
  positions: number,
  form: {
    offset?: number;
    rotaryDim?: number | undefined;
    interleaved?: boolean;
    suffix?: string | undefined;
  } = {},
): Value {
  const rotaryDim = form.rotaryDim ?? headDim;
  const names = rotaryNames(form.suffix);
  const cos = g.weight(names.cos, [positions, rotaryDim / 2], 'float');
  const sin = g.weight(names.sin, [positions, rotaryDim / 2], 'float');
  return g.node(
    'Rotary',
    segment,
    [x, cos, sin],
    {
      heads,
      head_dim: headDim,
      offset: form.offset ?? 0,
      rotary_dim: rotaryDim,
      interleaved: form.interleaved ? 1 : 0,
    },
    x.shape.at(-1)!,
  );
}

/** Causal self-attention on x [.., hidden_size], weights under `<path>.q_proj` and so on. */
export function selfAttention(
  g: GraphBuilder,
  config: DecoderConfig,
  x: Value,
  layer: number,
  path: string,
  drawing: AttentionDrawing,
): Value {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim, hidden_size: hidden } = config;
  return g.scope('attn', () => {
    const project = (which: string, outputs: number) =>
      linear(g, x, `${which}/MatMul`, `${path}.${which}`, outputs, drawing.qkvBias);
    let { q, k, v } = drawing.project?.(g, x, path) ?? {
      q: project('q_proj', heads * headDim),
      k: project('k_proj', kvHeads * headDim),
      v: project('v_proj', kvHeads * headDim),
    };
    if (drawing.headNormEps !== undefined) {
      q = rmsNorm(g, q, 'q_norm/SimplifiedLayerNormalization', `${path}.q_norm`, drawing.headNormEps, headDim);
      k = rmsNorm(g, k, 'k_norm/SimplifiedLayerNormalization', `${path}.k_norm`, drawing.headNormEps, headDim);
    }
    if (drawing.rope !== null) {
      const form = { suffix: drawing.rope, rotaryDim: drawing.rotaryDim };
      q = rotary(g, q, 'q_rotary/RotaryEmbedding', heads, headDim, drawing.positions, form);
      k = rotary(g, k, 'k_rotary/RotaryEmbedding', kvHeads, headDim, drawing.positions, form);
    }
    const attended = g.node(
      'Attention',
      'GroupQueryAttention',
      [q, k, v],
      {
        layer,
        heads,
        kv_heads: kvHeads,
        head_dim: headDim,
        v_head_dim: headDim,
        scale: { float: drawing.scale ?? 1 / Math.sqrt(headDim) },
        window: drawing.window,
        softcap: { float: drawing.softcap ?? 0 },
      },
      heads * headDim,
    );
    return linear(g, attended, 'o_proj/MatMul', `${path}.o_proj`, hidden, drawing.outputBias);
  });
}

/** Names of the weights that `selfAttention` draws. */
export function selfAttentionWeights(
  path: string,
  drawing: Pick<AttentionDrawing, 'qkvBias' | 'outputBias' | 'headNormEps'>,
): string[] {
  const names = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((each) => `${path}.${each}.weight`);
  if (drawing.qkvBias) names.push(...['q_proj', 'k_proj', 'v_proj'].map((each) => `${path}.${each}.bias`));
  if (drawing.outputBias) names.push(`${path}.o_proj.bias`);
  if (drawing.headNormEps !== undefined) names.push(`${path}.q_norm.weight`, `${path}.k_norm.weight`);
  return names;
}
