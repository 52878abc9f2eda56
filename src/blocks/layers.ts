import type { WeightSource } from '../core/weights.js';
import type { GraphBuilder, Value } from '../graph/builder.js';
import { layerPath, residual } from './decoder.js';
import { type NormForm, norm, normWeights } from './norm.js';

type Sublayer = (x: Value) => Value;

/** A norm of a layer by its Hugging Face name. */
const layerNorm = (g: GraphBuilder, index: number, form: NormForm) => (x: Value, which: string) =>
  norm(g, x, `${which}/LayerNorm`, `${layerPath(index)}.${which}`, form);

const namesOf = (index: number, norms: readonly string[], form: NormForm) =>
  norms.flatMap((which) => normWeights(`${layerPath(index)}.${which}`, form));

/**
 * A pre-norm layer: x + attend(norm(x)), then y + feedForward(norm(y)). `factor` multiplies what is added (granite).
 * Both norms carry transformers' names.
 */
export function preNormLayer(
  g: GraphBuilder,
  x: Value,
  index: number,
  form: NormForm,
  attend: Sublayer,
  feedForward: Sublayer,
  factor?: number,
): Value {
  const normed = layerNorm(g, index, form);
  const scaled = (value: Value, segment: string) =>
    factor === undefined
      ? value
      : g.node('Scale', segment, [value], { factor: { float: factor } }, value.shape.at(-1)!);
  const middle = residual(g, x, scaled(attend(normed(x, 'input_layernorm')), 'attn/Mul'), 'attn/Add');
  const added = scaled(feedForward(normed(middle, 'post_attention_layernorm')), 'mlp/Scale');
  return residual(g, middle, added, 'mlp/Add');
}

/** Names of the weights that `preNormLayer` draws itself. */
export const preNormWeights = (index: number, form: NormForm = 0): string[] =>
  namesOf(index, ['input_layernorm', 'post_attention_layernorm'], form);

/** Names of the four norms of a layer that has them on both sides of attention and of its MLP. */
export interface SandwichNorms {
  beforeAttention: string;
  afterAttention: string;
  beforeMlp: string;
  afterMlp: string;
}

const SANDWICH: SandwichNorms = {
  beforeAttention: 'input_layernorm',
  afterAttention: 'post_attention_layernorm',
  beforeMlp: 'pre_feedforward_layernorm',
  afterMlp: 'post_feedforward_layernorm',
};

/** A layer with norms on both sides: x + norm(attend(norm(x))), then y + norm(feedForward(norm(y))). */
export function sandwichNormLayer(
  g: GraphBuilder,
  x: Value,
  index: number,
  form: NormForm,
  attend: Sublayer,
  feedForward: Sublayer,
  names: SandwichNorms = SANDWICH,
): Value {
  const normed = layerNorm(g, index, form);
  const attended = normed(attend(normed(x, names.beforeAttention)), names.afterAttention);
  const middle = residual(g, x, attended, 'attn/Add');
  const fed = normed(feedForward(normed(middle, names.beforeMlp)), names.afterMlp);
  return residual(g, middle, fed, 'mlp/Add');
}

/** Names of the weights that `sandwichNormLayer` draws itself. */
export const sandwichNormWeights = (index: number, names: SandwichNorms = SANDWICH): string[] =>
  namesOf(index, Object.values(names), 0);

const AFTER = ['post_attention_layernorm', 'post_feedforward_layernorm'] as const;

/** A layer with norms after its parts alone: x + norm(attend(x)), then y + norm(feedForward(y)). */
export function postNormLayer(
  g: GraphBuilder,
  x: Value,
  index: number,
  form: NormForm,
  attend: Sublayer,
  feedForward: Sublayer,
): Value {
  const normed = layerNorm(g, index, form);
  const middle = residual(g, x, normed(attend(x), AFTER[0]), 'attn/Add');
  return residual(g, middle, normed(feedForward(middle), AFTER[1]), 'mlp/Add');
}

/** Names of the weights that `postNormLayer` draws itself. */
export const postNormWeights = (index: number): string[] => namesOf(index, AFTER, 0);

/** A layer whose parts read the same norm: x + attend(norm(x)) + feedForward(norm(x)). */
export function parallelLayer(
  g: GraphBuilder,
  x: Value,
  index: number,
  form: NormForm,
  attend: Sublayer,
  feedForward: Sublayer,
): Value {
  const normed = layerNorm(g, index, form)(x, 'input_layernorm');
  const attended = residual(g, x, attend(normed), 'attn/Add');
  return residual(g, attended, feedForward(normed), 'mlp/Add');
}

/** Names of the weights that `parallelLayer` draws itself. */
export const parallelWeights = (index: number, form: NormForm): string[] => namesOf(index, ['input_layernorm'], form);

/** Gains that are stored less one: x * (1 + weight). Takes the weights of a family and replaces those of its norms. */
export function onePlusNorms(weights: Record<string, WeightSource>): Record<string, WeightSource> {
  return Object.fromEntries(
    Object.entries(weights).map(([name, source]) => [
      name,
      name.endsWith('norm.weight') ? { plus: source, constant: 1 } : source,
    ]),
  );
}
