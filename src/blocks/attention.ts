import type { DecoderConfig } from '../core/architecture.js';
import type { GraphBuilder, Value } from '../graph/builder.js';
import { linear } from './decoder.js';
import { type NormForm, norm, normWeights } from './norm.js';
import { rotaryNames } from './rope.js';

/** Grouped-query attention of a family; names of weights follow transformers' `self_attn`. */
export interface AttentionDrawing {
  positions: number;
  /** Biases on q, k and v, and on the output projection. */
  qkvBias: boolean;
  outputBias: boolean;
  /** Name of the output projection where it is not `o_proj`. */
  output?: string;
  /** Epsilon of a norm over each head of q and k, where the family has one. */
  headNormEps?: number;
  /** Another norm of q and k, before the rotation. */
  queryKeyNorm?: QueryKeyNorm | undefined;
  /** Window of this layer in tokens, the own one included; 0 for none. */
  window: number;
  /** Factor on q k^T; 1/sqrt(head_dim) unless the family says otherwise. */
  scale?: number;
  softcap?: number;
  /** Suffix of the rotary tables' names, for models with more than one rope; null for a layer without rotary. */
  rope?: string | null;
  /** Values of each head that are rotated, its first; all unless the family says otherwise. */
  rotaryDim?: number;
  /** Whether pairs (2i, 2i + 1) are rotated instead of (i, i + r/2). */
  interleaved?: boolean | undefined;
  /** Growth of the queries with their position: times 1 + beta ln(1 + floor(position / length)). */
  queryGrowth?: { beta: number; length: number } | undefined;
  /** Draws q, k and v where the checkpoint stores them fused. */
  project?: (g: GraphBuilder, x: Value, path: string) => { q: Value; k: Value; v: Value };
}

/** A norm of q and k by its names: over each head, with one gain or one of its own, or over all heads at once. */
export interface QueryKeyNorm {
  q: string;
  k: string;
  form: NormForm;
  whole?: boolean;
  gains?: 'shared' | 'own';
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
    interleaved?: boolean | undefined;
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

/** The norm of q and k that a drawing asks for, if any. */
function normOf(drawing: Pick<AttentionDrawing, 'headNormEps' | 'queryKeyNorm'>): QueryKeyNorm | undefined {
  if (drawing.queryKeyNorm || drawing.headNormEps === undefined) return drawing.queryKeyNorm;
  return { q: 'q_norm', k: 'k_norm', form: drawing.headNormEps };
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
    const normed = normOf(drawing);
    if (normed) {
      const size = normed.whole ? undefined : headDim;
      q = norm(g, q, 'q_norm/SimplifiedLayerNormalization', `${path}.${normed.q}`, normed.form, size, normed.gains);
      k = norm(g, k, 'k_norm/SimplifiedLayerNormalization', `${path}.${normed.k}`, normed.form, size, normed.gains);
    }
    if (drawing.queryGrowth) {
      const { beta, length } = drawing.queryGrowth;
      q = g.node('PositionScale', 'q_growth/Mul', [q], { beta: { float: beta }, length }, q.shape.at(-1)!);
    }
    if (drawing.rope !== null) {
      const form = { suffix: drawing.rope, rotaryDim: drawing.rotaryDim, interleaved: drawing.interleaved };
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
    const output = drawing.output ?? 'o_proj';
    return linear(g, attended, 'o_proj/MatMul', `${path}.${output}`, hidden, drawing.outputBias);
  });
}

/** Names of the weights that `selfAttention` draws. */
export function selfAttentionWeights(
  path: string,
  drawing: Pick<AttentionDrawing, 'qkvBias' | 'outputBias' | 'output' | 'headNormEps' | 'queryKeyNorm'>,
): string[] {
  const output = drawing.output ?? 'o_proj';
  const names = ['q_proj', 'k_proj', 'v_proj', output].map((each) => `${path}.${each}.weight`);
  if (drawing.qkvBias) names.push(...['q_proj', 'k_proj', 'v_proj'].map((each) => `${path}.${each}.bias`));
  if (drawing.outputBias) names.push(`${path}.${output}.bias`);
  const normed = normOf(drawing);
  if (normed) for (const each of [normed.q, normed.k]) names.push(...normWeights(`${path}.${each}`, normed.form));
  return names;
}
