import type { GraphBuilder, Value } from '../graph/builder.js';
import { linear } from './decoder.js';

/** Activation functions by their name in config.json's `hidden_act`. */
export const ACTIVATIONS = ['silu', 'gelu_pytorch_tanh', 'gelu', 'relu'] as const;
export type ActivationName = (typeof ACTIVATIONS)[number];

/** Gated MLP: down(f(gate x) * up x), weights under `<path>.gate_proj`, `.up_proj` and `.down_proj`. */
export function gatedMlp(
  g: GraphBuilder,
  x: Value,
  path: string,
  intermediate: number,
  activation: ActivationName,
  bias = false,
  scope = 'mlp',
): Value {
  const hidden = x.shape.at(-1) as number;
  return g.scope(scope, () => {
    const gate = linear(g, x, 'gate_proj/MatMul', `${path}.gate_proj`, intermediate, bias);
    const up = linear(g, x, 'up_proj/MatMul', `${path}.up_proj`, intermediate, bias);
    return linear(g, gated(g, gate, up, activation), 'down_proj/MatMul', `${path}.down_proj`, hidden, bias);
  });
}

/** f(gate) * up. */
export function gated(g: GraphBuilder, gate: Value, up: Value, activation: ActivationName): Value {
  const width = gate.shape.at(-1)!;
  const activated = g.node('Activation', 'act_fn', [gate], { function: activation }, width);
  return g.node('Mul', 'Mul', [activated, up], {}, width);
}

/** Names of the weights that `gatedMlp` draws. */
export function gatedMlpWeights(path: string, bias = false): string[] {
  return ['gate_proj', 'up_proj', 'down_proj'].flatMap((each) =>
    bias ? [`${path}.${each}.weight`, `${path}.${each}.bias`] : [`${path}.${each}.weight`],
  );
}
