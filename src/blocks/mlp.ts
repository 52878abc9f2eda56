import type { GraphBuilder, Value } from '../graph/builder.js';
import type { ConfigReader } from './config.js';
import { linear } from './decoder.js';

export type ActivationName = 'silu' | 'gelu_pytorch_tanh' | 'gelu' | 'relu' | 'quick_gelu' | 'relu2';

/** Names of activation functions in transformers (ACT2FN), by the function: some have several, equal but for rounding. */
const ACTIVATIONS: Record<string, ActivationName> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_pytorch_tanh: 'gelu_pytorch_tanh',
  gelu_python_tanh: 'gelu_pytorch_tanh',
  gelu_new: 'gelu_pytorch_tanh',
  gelu_fast: 'gelu_pytorch_tanh',
  gelu_accurate: 'gelu_pytorch_tanh',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  relu2: 'relu2',
};

/** The activation function that a config names. Throws InvalidInputError for one that is not drawn. */
export function activationOf(reader: ConfigReader, key: string, fallback: ActivationName): ActivationName {
  return ACTIVATIONS[reader.choice(key, Object.keys(ACTIVATIONS), fallback)];
}

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

/** Names of the two matrices of an MLP without a gate. */
export interface PlainMlpNames {
  up: string;
  down: string;
}

/** MLP without a gate: down(f(up x)), weights under `<path>.<names.up>` and `<path>.<names.down>`. */
export function plainMlp(
  g: GraphBuilder,
  x: Value,
  path: string,
  names: PlainMlpNames,
  intermediate: number,
  activation: ActivationName,
  bias: boolean,
): Value {
  const hidden = x.shape.at(-1) as number;
  return g.scope('mlp', () => {
    const raised = linear(g, x, `${names.up}/MatMul`, `${path}.${names.up}`, intermediate, bias);
    const bent = g.node('Activation', 'act_fn', [raised], { function: activation }, intermediate);
    return linear(g, bent, `${names.down}/MatMul`, `${path}.${names.down}`, hidden, bias);
  });
}

/** Names of the weights that `plainMlp` draws. */
export function plainMlpWeights(path: string, names: PlainMlpNames, bias: boolean): string[] {
  return [names.up, names.down].flatMap((each) =>
    bias ? [`${path}.${each}.weight`, `${path}.${each}.bias`] : [`${path}.${each}.weight`],
  );
}
