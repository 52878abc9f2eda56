import type { GraphBuilder, Value } from '../graph/builder.js';

/** A norm of a family: a root-mean-square norm, by its epsilon alone, or a LayerNorm with or without a shift. */
export type NormForm = number | { epsilon: number; bias: boolean };

/** Root-mean-square norm with a learned gain, Hugging Face name `<path>.weight`. */
export function rmsNorm(
  g: GraphBuilder,
  x: Value,
  segment: string,
  path: string,
  epsilon: number,
  size?: number,
): Value {
  const width = x.shape.at(-1) as number;
  const gamma = g.weight(`${path}.weight`, [size ?? width], 'float');
  return g.node('RmsNorm', segment, [x, gamma], { epsilon: { float: epsilon } }, width);
}

/**
 * A norm of this form over the width of x, or over each run of `size` values, with one gain for all of them or one for
 * each; names `<path>.weight` and `<path>.bias`.
 */
export function norm(
  g: GraphBuilder,
  x: Value,
  segment: string,
  path: string,
  form: NormForm,
  size = x.shape.at(-1) as number,
  gains: 'shared' | 'own' = 'shared',
): Value {
  if (typeof form === 'number') return rmsNorm(g, x, segment, path, form, size);
  const width = x.shape.at(-1) as number;
  const gamma = g.weight(`${path}.weight`, gains === 'own' ? [width / size, size] : [size], 'float');
  const beta = form.bias ? g.weight(`${path}.bias`, [size], 'float') : undefined;
  return g.node('LayerNorm', segment, [x, gamma, beta], { epsilon: { float: form.epsilon } }, width);
}

/** Names of the weights that `norm` draws. */
export const normWeights = (path: string, form: NormForm): string[] =>
  typeof form !== 'number' && form.bias ? [`${path}.weight`, `${path}.bias`] : [`${path}.weight`];
