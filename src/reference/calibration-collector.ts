import type { Calibration, CalibrationOrigin, Graph, GraphNode } from '../core/types.js';
import { forEachScores } from './attention-scores.js';
import { ValueStatistics } from './value-statistics.js';

/** Matrices and the value that each multiplies. The experts' second matrices read values that no node names. */
function matrixInputs(graph: Graph): [weight: string, value: string][] {
  return graph.nodes.flatMap(({ op, inputs }): [string, string][] => {
    if (op === 'Linear' || op === 'Router') return [[inputs[1], inputs[0]]];
    return op === 'Experts' ? [3, 4].map((index): [string, string] => [inputs[index], inputs[0]]) : [];
  });
}

/**
 * Collects what a calibration holds while a graph is evaluated on sequences of `lengths` tokens: the range of every
 * activation and of the vectors that meet them, of attention scores, of linear products before their bias, and the
 * mean square of each linear input channel. `vector` reads a small weight.
 */
export class CalibrationCollector {
  readonly #ranges = new Map<string, ValueStatistics>();
  readonly #squares = new Map<string, { sums: Float64Array; tokens: number }>();
  readonly #products: Set<string>;
  readonly #rotated: Set<string>;
  /** Rotated queries and keys, kept until the attention that reads them. */
  readonly #operands = new Map<string, Float32Array>();

  constructor(
    readonly graph: Graph,
    readonly lengths: number[],
    readonly vector: (name: string) => Promise<Float32Array>,
  ) {
    this.#products = new Set(matrixInputs(graph).map(([, value]) => value));
    const attentions = graph.nodes.filter(({ op }) => op === 'Attention');
    this.#rotated = new Set(attentions.flatMap(({ inputs }) => inputs.slice(0, 2)));
  }

  #range(name: string): ValueStatistics {
    const known = this.#ranges.get(name) ?? new ValueStatistics();
    this.#ranges.set(name, known);
    return known;
  }

  /** Takes one value as it is computed, [tokens, width]. */
  async take(name: string, values: Float32Array, width: number, node: GraphNode): Promise<void> {
    this.#range(name).add(values);
    if (this.#products.has(name)) this.#addSquares(name, values, width);
    if (this.#rotated.has(name)) this.#operands.set(name, values);
    if (node.op === 'Attention') this.#takeScores(node);
    // A norm's gain and a bias are constants of the graph that integer activations meet.
    const constants = node.op === 'RmsNorm' ? [node.inputs[1]] : node.op === 'Linear' ? node.inputs.slice(2) : [];
    for (const constant of constants) this.#range(constant).add(await this.vector(constant));
    if (node.op === 'Linear' && node.inputs[2]) {
      const bias = await this.vector(node.inputs[2]);
      this.#range(`${node.name}/product`).add(values.map((value, index) => value - bias[index % width]));
    }
  }

  #takeScores(node: GraphNode): void {
    const [q, k] = node.inputs.map((name) => this.#operands.get(name));
    const range = this.#range(`${node.name}/scores`);
    if (q && k) forEachScores(node, q, k, this.lengths, (scores) => range.add(scores));
    for (const name of node.inputs) this.#operands.delete(name);
  }

  #addSquares(name: string, values: Float32Array, width: number): void {
    const entry = this.#squares.get(name) ?? { sums: new Float64Array(width), tokens: 0 };
    for (let at = 0; at < values.length; at += width) {
      for (let i = 0; i < width; i++) entry.sums[i] += values[at + i] * values[at + i];
    }
    entry.tokens += values.length / width;
    this.#squares.set(name, entry);
  }

  result(origin: CalibrationOrigin): Calibration {
    const second_moments: Calibration['second_moments'] = {};
    for (const [weight, value] of matrixInputs(this.graph)) {
      const entry = this.#squares.get(value);
      if (entry) second_moments[weight] = Float32Array.from(entry.sums, (sum) => sum / entry.tokens);
    }
    const ranges = [...this.#ranges].map(([name, range]) => [name, range.summary()] as const);
    return { origin, ranges: Object.fromEntries(ranges), second_moments };
  }
}
