import { own } from '../../core/own.js';

/** Activation functions by the names of transformers' ACT2FN, in float64. */
const functions: Record<string, (x: number) => number> = own({
  silu: (x) => x / (1 + Math.exp(-x)),
  relu: (x) => Math.max(0, x),
  relu2: (x) => Math.max(0, x) ** 2,
  quick_gelu: (x) => x / (1 + Math.exp(-1.702 * x)),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  gelu_pytorch_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
});

export function activationFunction(name: string): (x: number) => number {
  if (!Object.hasOwn(functions, name)) throw new Error(`there is no activation function "${name}"`);
  return functions[name];
}

/** erf by its series with positive terms only, 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!: no cancellation. */
export function erf(x: number): number {
  if (Math.abs(x) >= 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
