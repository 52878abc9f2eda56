import { InvalidInputError } from '../core/errors.js';
import type { Graph, GraphNode, Initializer, Pass, ValueRange } from '../core/graph.js';
import { own } from '../core/own.js';
import { elementTypes } from '../graph/element_types.js';
import { SEMANTIC_OPERATORS } from '../graph/operators.js';
import { inOrder } from '../graph/order.js';
import { pass } from '../graph/pass.js';
import { GraphDraft, producers } from '../graph/rewrite.js';

/** Steps of uint16. */
const STEPS = 65535;

/** The narrowest range that gets a scale of its own (onnxruntime quant_utils.py, MinimumRealRange of QNN). */
const LEAST_RANGE = 1e-4;

/** Outputs whose range the operator fixes: scale and zero point of QNN's operators (onnxruntime qnn quant_config.py). */
const FIXED: Record<string, Grid> = own({
  Softmax: { scale: 1 / 65536, zeroPoint: 0 },
  Sigmoid: { scale: 1 / 65536, zeroPoint: 0 },
  Tanh: { scale: 1 / 32768, zeroPoint: 32768 },
});

/** Operators that move values without changing them: inputs at these places share the output's grid. */
const MOVES: Record<string, (node: GraphNode) => string[]> = own({
  Reshape: ({ inputs }) => [inputs[0]],
  Transpose: ({ inputs }) => [inputs[0]],
  Slice: ({ inputs }) => [inputs[0]],
  Gather: ({ inputs }) => [inputs[0]],
  Expand: ({ inputs }) => [inputs[0]],
  Pad: ({ inputs }) => [inputs[0]],
  Concat: ({ inputs }) => inputs,
  // A table of sines and its negation: its range is symmetric.
  Neg: ({ inputs }) => [inputs[0]],
  Where: ({ inputs }) => inputs.slice(1),
  ScatterElements: ({ inputs }) => [inputs[0], inputs[2]],
});

interface Grid {
  scale: number;
  zeroPoint: number;
}

/**
 * What a calibrated range is widened by on either side, in its own widths: other text reaches further, and a value that
 * is cut off costs far more than the one bit of 16 that this does. Worst mean KL of eleven models with int8 weights,
 * 1.4e-3 to 4.9e-3 before activations are rounded, calibrated on eight other tokens: 7.6e-1 with 0, 1.7e-1 with 0.1,
 * 8.5e-3 with 0.5; on 512: 3.3e-2, 6.1e-3, 4.9e-3.
 */
const MARGIN = 0.5;

const RANGES = {
  name: 'with_ranges',
  removes: [],
  leaves: [],
};

/** Gives a drawn graph its calibrated ranges, each wider by the margin on both sides. */
export function withRanges(ranges: Record<string, ValueRange>): Pass {
  const wider = ({ min, max }: ValueRange): ValueRange => {
    const margin = (max - min) * MARGIN;
    return { min: min - margin, max: max + margin };
  };
  const widened = Object.fromEntries(Object.entries(ranges).map(([name, range]) => [name, wider(range)]));
  return pass(RANGES, (graph) => ({ ...graph, ranges: widened }));
}

/** Values that share one grid, found by union. */
class Classes {
  readonly #parent = new Map<string, string>();

  of(name: string): string {
    const parent = this.#parent.get(name);
    if (parent === undefined || parent === name) return name;
    const root = this.of(parent);
    this.#parent.set(name, root);
    return root;
  }

  join(a: string, b: string): void {
    this.#parent.set(this.of(a), this.of(b));
  }
}

const union = (a: ValueRange | undefined, b: ValueRange): ValueRange =>
  a ? { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) } : b;

/** uint16 grid of a range widened to hold 0, float32 scale; symmetric ones put 0 in the middle. */
export function gridOf(range: ValueRange, symmetric = false): Grid {
  let { min, max } = { min: Math.min(range.min, 0), max: Math.max(range.max, 0) };
  if (symmetric) max = Math.max(max, -min);
  if (symmetric) min = -max;
  const width = Math.max(max - min, LEAST_RANGE);
  const scale = Math.fround(width / STEPS);
  return { scale, zeroPoint: symmetric ? 32768 : Math.min(STEPS, Math.max(0, Math.round(-min / scale))) };
}

/** Which values get a pair, and on which grid. */
class Grids {
  readonly #classes = new Classes();
  readonly #ranges = new Map<string, ValueRange>();
  readonly #fixed = new Map<string, Grid>();
  readonly #symmetric = new Set<string>();

  constructor(
    readonly graph: Graph,
    readonly isPaired: (name: string) => boolean,
  ) {
    for (const node of graph.nodes) {
      for (const input of MOVES[node.op]?.(node) ?? []) this.#classes.join(input, node.outputs[0]);
    }
    for (const [name, range] of Object.entries(graph.ranges ?? {})) this.#widen(name, range);
    for (const { name, content } of graph.initializers) {
      if ('values' in content && isPaired(name)) {
        this.#widen(name, { min: Math.min(...content.values), max: Math.max(...content.values) });
      }
    }
    for (const node of graph.nodes) {
      const [output] = node.outputs;
      if (FIXED[node.op]) this.#fixed.set(this.#classes.of(output), FIXED[node.op]);
      // QNN turns the second operand of a product of two activations into symmetric int16: without loss where it is so.
      if (node.op === 'MatMul') this.#symmetric.add(this.#classes.of(node.inputs[1]));
    }
    for (const node of graph.nodes) this.#scaleByConstant(node);
  }

  #widen(name: string, range: ValueRange): void {
    const root = this.#classes.of(name);
    this.#ranges.set(root, union(this.#ranges.get(root), range));
  }

  /** x * c and x / c for a number c, where no calibration saw the result. */
  #scaleByConstant({ op, inputs, outputs }: GraphNode): void {
    if ((op !== 'Mul' && op !== 'Div') || this.#ranges.has(this.#classes.of(outputs[0]))) return;
    const constant = this.graph.initializers.find((each) => each.name === inputs[1]);
    if (!constant || !('values' in constant.content) || constant.content.values.length !== 1) return;
    const factor = op === 'Mul' ? constant.content.values[0] : 1 / constant.content.values[0];
    const root = this.#classes.of(inputs[0]);
    const fixed = this.#fixed.get(root);
    const range = fixed
      ? { min: -fixed.zeroPoint * fixed.scale, max: (STEPS - fixed.zeroPoint) * fixed.scale }
      : this.#ranges.get(root);
    if (range && factor > 0) this.#widen(outputs[0], { min: range.min * factor, max: range.max * factor });
  }

  /** The grid of a value. Without any calibration a placeholder. */
  of(name: string): Grid {
    const root = this.#classes.of(name);
    const fixed = this.#fixed.get(root);
    if (fixed) return fixed;
    const range = this.#ranges.get(root) ?? (this.graph.ranges ? undefined : { min: -1, max: 1 });
    if (!range) {
      throw new InvalidInputError(
        `the calibration has no range for ${name}.`,
        'calibrate this very checkpoint with halfbyte calibrate.',
      );
    }
    return gridOf(range, this.#symmetric.has(root));
  }
}

/** Places among a node's inputs that stay as they are: weights of convolutions and all that goes into weights. */
function isActivationInput(node: GraphNode, index: number): boolean {
  if (node.op === 'DequantizeLinear' || node.op === 'QuantizeLinear') return false;
  return !(node.op === 'Conv' && index === 1);
}

const QDQ = {
  name: 'activation_qdq',
  requires: SEMANTIC_OPERATORS.map((op) => `halfbyte.${op}`),
  removes: [],
  leaves: ['QuantizeLinear', 'DequantizeLinear'],
};

/**
 * Every float value of a lowered graph (inputs, results, and the constants that results are computed with) ->
 * QuantizeLinear and DequantizeLinear in uint16. Operators that only move values have one grid on both sides.
 * Weights of convolutions have forms of their own; caches of GroupQueryAttention, an island in float, have no pairs.
 */
export const activationQdq = pass(QDQ, (graph) => {
  const types = elementTypes(graph);
  const made = producers(graph);
  const constant = constantNames(graph);
  const island = new Set(
    graph.nodes.flatMap((node) =>
      node.op === 'GroupQueryAttention' ? [...node.inputs.slice(3), ...node.outputs.slice(1)] : [],
    ),
  );
  const isFloat = (name: string) => types.get(name) === 'FLOAT' && !island.has(name);
  const isPaired = (name: string) => {
    const node = made.get(name);
    // Of constants only those that the file holds: what is computed from them alone is a weight's own form.
    return isFloat(name) && (!node || !constant.has(name));
  };
  const grids = new Grids(graph, isPaired);
  const draft = new GraphDraft(graph);
  const outputs = new Set(graph.outputs.map((each) => each.name));
  const paired = new Map<string, string>();
  const pairs: GraphNode[] = [];
  const pairOf = (name: string): string => {
    const known = paired.get(name);
    if (known !== undefined) return known;
    const { scale, zeroPoint } = grids.of(name);
    const parameters = [draft.constant('FLOAT', scale), draft.constant('UINT16', zeroPoint)];
    const source = outputs.has(name) ? `${name}/unquantized` : name;
    const quantized = `${name}_QuantizeLinear_Output`;
    const restored = outputs.has(name) ? name : `${name}_DequantizeLinear_Output`;
    const node = (op: string, input: string, output: string): GraphNode => ({
      name: `${name}_${op}`,
      op,
      domain: '',
      inputs: [input, ...parameters],
      outputs: [output],
      attributes: {},
    });
    pairs.push(node('QuantizeLinear', source, quantized), node('DequantizeLinear', quantized, restored));
    paired.set(name, restored);
    return restored;
  };
  const nodes = graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((name, index) => (isActivationInput(node, index) && isPaired(name) ? pairOf(name) : name)),
    outputs: node.outputs.map((name) => {
      if (!outputs.has(name) || !isPaired(name)) return name;
      pairOf(name);
      return `${name}/unquantized`;
    }),
  }));
  draft.graph.nodes = inOrder([...nodes, ...pairs]);
  return draft.finish();
});

/** Initializers, and every value computed from them alone. */
function constantNames({ initializers, nodes }: { initializers: Initializer[]; nodes: GraphNode[] }): Set<string> {
  const names = new Set(initializers.map((each) => each.name));
  for (const { inputs, outputs } of nodes) {
    if (inputs.every((name) => name === '' || names.has(name))) for (const output of outputs) names.add(output);
  }
  return names;
}
