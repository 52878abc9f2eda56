import type { Calibration, CalibrationOrigin } from '../core/calibration.js';
import { InvalidInputError } from '../core/errors.js';
import type { Graph, GraphNode } from '../core/graph.js';
import { forEachScores } from './attention-scores.js';
import { ValueStatistics } from './value-statistics.js';

/** Matrices and the value that each multiplies. The experts' second matrices read values that no node names. */
function matrixInputs(graph: Graph): [weight: string, value: string][] {
  return graph.nodes.flatMap(({ op, inputs }): [string, string][] => {
    if (op === 'Linear' || op === 'Router') return [[inputs[1], inputs[0]]];
    if (op === 'LatentAttention') return [[inputs[3], inputs[1]]];
    return op === 'Experts' ? [3, 4].map((index): [string, string] => [inputs[index], inputs[0]]) : [];
  });
}

/** Constants of a node that integer activations meet: a norm's gain and shift, a bias. */
const constantsOf = ({ op, inputs }: GraphNode): string[] =>
  op === 'RmsNorm' || op === 'LayerNorm'
    ? inputs.slice(1)
    : op === 'Linear'
      ? inputs.slice(2).filter((name) => name !== '')
      : [];

/** Names of the ranges that a calibration of this graph has, and the input channels of each second moment. */
export function calibratedNames(graph: Graph): { ranges: Set<string>; secondMoments: Map<string, number> } {
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== '')));
  const ranges = new Set(made);
  for (const { op, outputs } of graph.nodes) if (op === 'Router') for (const output of outputs) ranges.delete(output);
  for (const node of graph.nodes) {
    for (const constant of constantsOf(node)) ranges.add(constant);
    if (node.op === 'Linear' && node.inputs[2]) ranges.add(`${node.name}/product`);
    if (node.op === 'Attention') ranges.add(`${node.name}/scores`);
  }
  const moments = matrixInputs(graph).filter(([, value]) => made.has(value));
  return {
    ranges,
    secondMoments: new Map(moments.map(([weight]) => [weight, graph.weights[weight].shape.at(-1) as number])),
  };
}

/**
 * Collects what a calibration holds while a graph is evaluated, batch after batch: the range of every activation and of
 * the vectors that meet them, of attention scores, of linear products before their bias, and the mean square of each
 * linear input channel. `vector` reads a small weight.
 */
export class CalibrationCollector {
  readonly #ranges = new Map<string, ValueStatistics>();
  readonly #squares = new Map<string, { sums: Float64Array; tokens: number }>();
  readonly #products: Set<string>;
  readonly #rotated: Set<string>;
  /** Rotated queries and keys, kept until the attention that reads them. */
  readonly #operands = new Map<string, Float32Array>();
  #lengths: number[] = [];

  constructor(
    readonly graph: Graph,
    readonly vector: (name: string) => Promise<Float32Array>,
  ) {
    this.#products = new Set(matrixInputs(graph).map(([, value]) => value));
    const attentions = graph.nodes.filter(({ op }) => op === 'Attention');
    this.#rotated = new Set(attentions.flatMap(({ inputs }) => inputs.slice(0, 2)));
  }

  /** Tells how long the sequences of the next evaluation are. */
  begin(lengths: number[]): void {
    this.#lengths = lengths;
    this.#operands.clear();
  }

  /** Adds values to a range. Throws InvalidInputError where one is not finite. */
  #widen(name: string, values: Float32Array): void {
    const known = this.#ranges.get(name) ?? new ValueStatistics();
    this.#ranges.set(name, known);
    try {
      known.add(values);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new InvalidInputError(
        `the model computes ${error.message} at ${name}, which has no range.`,
        'check the weights: one of them is damaged, or the text is of another kind than the model was made for.',
      );
    }
  }

  /** Takes one value as it is computed, [tokens, width]. */
  async take(name: string, values: Float32Array, width: number, node: GraphNode): Promise<void> {
    // A router's choice is -Infinity outside of the chosen groups; routing stays in float.
    if (node.op !== 'Router') this.#widen(name, values);
    if (this.#products.has(name)) this.#addSquares(name, values, width);
    if (this.#rotated.has(name)) this.#operands.set(name, values);
    if (node.op === 'Attention') this.#takeScores(node);
    for (const constant of constantsOf(node)) this.#widen(constant, await this.vector(constant));
    if (node.op === 'Linear' && node.inputs[2]) {
      const bias = await this.vector(node.inputs[2]);
      this.#widen(
        `${node.name}/product`,
        values.map((value, index) => value - bias[index % width]),
      );
    }
  }

  #takeScores(node: GraphNode): void {
    const [q, k] = node.inputs.map((name) => this.#operands.get(name));
    const name = `${node.name}/scores`;
    if (q && k) forEachScores(node, q, k, this.#lengths, (scores) => this.#widen(name, scores));
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
