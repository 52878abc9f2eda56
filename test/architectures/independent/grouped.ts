import type { Tensors } from './checkpoint.js';
import type { Choice } from './experts.js';
import { add, attend, columns, gatedMlp, joined, linear, type Matrix, rmsNorm, silu } from './float64.js';

/** Sizes that every family of grouped-query attention has, by config.json's names. */
export interface GroupedSettings {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  rms_norm_eps: number;
  rope_theta: number;
  tie_word_embeddings: boolean;
}

export interface GroupedResult {
  logits: Matrix;
  /** How near the nearest decision of a router was. */
  margin: number;
}

/** What a layer of grouped-query attention does besides. */
interface Attention {
  window: number;
  scale?: number;
  cap?: number;
  /** Applied to each head of q and k before the rotation. */
  headNorm?: (head: Matrix, which: 'q' | 'k') => Matrix;
  turn: (head: Matrix) => Matrix;
  qkv: Matrix[];
}

/** Every head's attention, side by side. */
export function grouped(settings: GroupedSettings, { window, scale, cap, headNorm, turn, qkv }: Attention): Matrix {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: size } = settings;
  const of = (value: Matrix, index: number) => columns(value, index * size, (index + 1) * size);
  const prepared = (value: Matrix, index: number, which: 'q' | 'k') =>
    turn(headNorm ? headNorm(of(value, index), which) : of(value, index));
  return joined(
    Array.from({ length: heads }, (_, head) => {
      const kv = Math.floor(head / (heads / kvHeads));
      const [q, k] = [prepared(qkv[0], head, 'q'), prepared(qkv[1], kv, 'k')];
      return attend(q, k, of(qkv[2], kv), scale ?? size ** -0.5, window, cap);
    }),
  );
}

/** q, k and v, in one matrix each. */
export const threeOf = (x: Matrix, tensors: Tensors, path: string, biased = false) =>
  ['q', 'k', 'v'].map((which) =>
    linear(
      x,
      tensors.matrix(`${path}.${which}_proj.weight`),
      biased ? tensors.vector(`${path}.${which}_proj.bias`) : undefined,
    ),
  );

export const output = (x: Matrix, tensors: Tensors, path: string, biased = false) =>
  linear(x, tensors.matrix(`${path}.o_proj.weight`), biased ? tensors.vector(`${path}.o_proj.bias`) : undefined);

export const mlp = (x: Matrix, tensors: Tensors, path: string, f = silu) => {
  const [gate, up, down] = ['gate', 'up', 'down'].map((which) => tensors.matrix(`${path}.${which}_proj.weight`));
  return gatedMlp(x, gate, up, down, f);
};

/** The frame: x + attend(norm(x)), then y + feedForward(norm(y)). */
export function preNorm(
  settings: GroupedSettings,
  tensors: Tensors,
  ids: number[],
  attention: (x: Matrix, path: string) => Matrix,
  feedForward: (x: Matrix, path: string, layer: number) => Matrix,
): Matrix {
  const table = tensors.matrix('model.embed_tokens.weight');
  const norm = (x: Matrix, name: string) => rmsNorm(x, tensors.vector(`${name}.weight`), settings.rms_norm_eps);
  let hidden = ids.map((id) => table[id]);
  for (let layer = 0; layer < settings.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    hidden = add(hidden, attention(norm(hidden, `${path}.input_layernorm`), `${path}.self_attn`));
    hidden = add(hidden, feedForward(norm(hidden, `${path}.post_attention_layernorm`), path, layer));
  }
  const head = settings.tie_word_embeddings ? table : tensors.matrix('lm_head.weight');
  return linear(norm(hidden, 'model.norm'), head);
}

/** The least of these margins. */
export const nearest = (margin: number, choices: Choice[]) => Math.min(margin, ...choices.map((each) => each.margin));
