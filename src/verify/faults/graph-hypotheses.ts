import type { Attribute, Graph, GraphNode } from '../../core/graph.js';
import type { Hypothesis } from '../../core/verify-report.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';
import { evaluate } from '../../reference/evaluate.js';
import { openGemm } from '../../reference/gemm.js';
import type { WeightLookup, WeightRows } from '../../reference/weights.js';
import type { ProbedValue } from '../../runtime/value-probe.js';
import type { Engine } from '../referees/engine-on-weights.js';
import { short } from '../verdict/short-number.js';
import { describeValue } from './value-names.js';

/** Relative error of values that float arithmetic alone sets apart: as of values inside a graph that agree. */
const AGREES = 1e-4;

const EPSILONS = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12, 0];

/** The drawn nodes between values that the package shows, as a mistaken converter may have written them. */
interface Assumption {
  id: string;
  statement: string;
  nodes: GraphNode[];
  weights: WeightLookup;
}

/**
 * Computes a value that is off anew, from what the package itself shows before it, under mistakes that converters make:
 * another epsilon, scale, window, or form of rotary embedding, positions one off. Only the nodes between the shown
 * values are computed, so that this costs a fraction of a layer. Those under which the package's value comes out are
 * likely.
 */
export async function graphHypotheses(
  engine: Engine,
  name: string,
  shown: ReadonlyMap<string, ProbedValue>,
  ids: readonly number[],
  threads?: number | undefined,
): Promise<Hypothesis[]> {
  const actual = shown.get(name);
  const part = partOf(engine.graph, name, shown);
  if (!actual || part.nodes.length === 0) return [];
  const inputs = Object.fromEntries(
    part.inputs.flatMap((each) => {
      const value = shown.get(each.name);
      return value ? [[each.name, value.data]] : [];
    }),
  );
  const gemm = await openGemm(threads);
  const run = async (nodes: GraphNode[], weights: WeightLookup) => {
    const expected = await evaluate({ ...part, nodes }, weights, [[...ids]], { inputs, gemm });
    const sums = new ErrorSums().add(expected.outputs[name] ?? new Float32Array(actual.data.length), actual.data);
    return sums.signal === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(sums.noise / sums.signal);
  };
  try {
    const errorOtherwise = await run(part.nodes, engine.weights);
    const found: Hypothesis[] = [];
    for (const { id, statement, nodes, weights } of assumptions(part.nodes, engine.weights)) {
      const errorIfSo = await run(nodes, weights);
      // A rounded cache or float16 table keeps some error: a hundredth of what there is otherwise is no coincidence.
      const likely = errorIfSo <= Math.max(AGREES, 0.01 * errorOtherwise) && errorIfSo < 0.1 * errorOtherwise;
      if (!likely) continue;
      found.push({ id, statement: `${describeValue(name)}: ${statement}`, errorIfSo, errorOtherwise, likely });
    }
    return found.sort((a, b) => a.errorIfSo - b.errorIfSo);
  } finally {
    await gemm.release();
  }
}

/** The nodes that lead to a value from those that are shown, with these as inputs. */
function partOf(graph: Graph, name: string, shown: ReadonlyMap<string, ProbedValue>): Graph {
  const maker = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node])));
  const needed = new Set<GraphNode>();
  const inputs = new Map<string, ProbedValue>();
  const visit = (value: string): void => {
    const node = maker.get(value);
    if (!node || needed.has(node)) return;
    needed.add(node);
    for (const input of node.inputs) {
      const known = input === name ? undefined : shown.get(input);
      if (known) inputs.set(input, known);
      else visit(input);
    }
  };
  visit(name);
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => needed.has(node)),
    inputs: [
      ...graph.inputs.filter(({ dtype }) => dtype !== 'FLOAT'),
      ...[...inputs].map(([each, { width }]) => ({ name: each, dtype: 'FLOAT' as const, shape: [width] })),
    ],
    outputs: [{ name, dtype: 'FLOAT', shape: [shown.get(name)?.width ?? 0] }],
    hiddenStates: [],
  };
}

function* assumptions(nodes: GraphNode[], weights: WeightLookup): Iterable<Assumption> {
  const changed = (of: GraphNode[], attributes: (node: GraphNode) => Record<string, Attribute>) =>
    nodes.map((node) =>
      of.includes(node) ? { ...node, attributes: { ...node.attributes, ...attributes(node) } } : node,
    );
  const all = (op: string) => nodes.filter((node) => node.op === op);
  const numberOf = (node: GraphNode, key: string): number => {
    const value = node.attributes[key];
    return typeof value === 'object' && value !== null && 'float' in value ? Number(value.float) : Number(value ?? 0);
  };

  for (const norm of all('RmsNorm')) {
    for (const epsilon of EPSILONS) {
      if (epsilon === numberOf(norm, 'epsilon')) continue;
      const statement = `agrees if epsilon is ${epsilon}, not ${short(numberOf(norm, 'epsilon'))}.`;
      yield { id: 'epsilon', statement, nodes: changed([norm], () => ({ epsilon: { float: epsilon } })), weights };
    }
  }
  const rotaries = all('Rotary');
  if (rotaries.length > 0) {
    const isInterleaved = numberOf(rotaries[0], 'interleaved') === 1;
    yield {
      id: 'rotary form',
      statement: `agrees if rotary embedding turns ${isInterleaved ? 'halves' : 'interleaved pairs'}, not ${isInterleaved ? 'interleaved pairs' : 'halves'}.`,
      nodes: changed(rotaries, () => ({ interleaved: isInterleaved ? 0 : 1 })),
      weights,
    };
    const tables = new Set(rotaries.flatMap(({ inputs }) => inputs.slice(1)));
    for (const by of [1, -1]) {
      yield {
        id: by > 0 ? 'positions late' : 'positions early',
        statement: `agrees if positions are counted one too ${by > 0 ? 'high' : 'low'}.`,
        nodes,
        weights: async (each) => (tables.has(each) ? moved(await weights(each), by) : weights(each)),
      };
    }
    const sines = new Set(rotaries.map(({ inputs }) => inputs[2]));
    yield {
      id: 'rotary direction',
      statement: 'agrees if rotary embedding turns the other way, as with its halves swapped.',
      nodes,
      weights: async (each) => (sines.has(each) ? mapped(await weights(each), (value) => -value) : weights(each)),
    };
    yield {
      id: 'rotary left out',
      statement: 'agrees if there is no rotary embedding.',
      nodes,
      weights: async (each) =>
        tables.has(each) ? mapped(await weights(each), () => (sines.has(each) ? 0 : 1)) : weights(each),
    };
  }
  for (const attention of [...all('Attention'), ...all('LatentAttention')]) {
    const scale = numberOf(attention, 'scale');
    const headDim = numberOf(attention, 'head_dim') || numberOf(attention, 'nope') + numberOf(attention, 'rope');
    for (const other of [1, 1 / headDim, headDim ** -0.5, scale * 2, scale / 2, scale * scale]) {
      if (Math.abs(other - scale) <= 1e-6 * scale) continue;
      const statement = `agrees if the scale of its scores is ${short(other)}, not ${short(scale)}.`;
      yield { id: 'scale', statement, nodes: changed([attention], () => ({ scale: { float: other } })), weights };
    }
    const window = numberOf(attention, 'window');
    for (const other of window > 0 ? [0, window - 1, window + 1] : []) {
      const statement = `agrees if its window is ${other === 0 ? 'left out' : other}, not ${window}.`;
      yield { id: 'window', statement, nodes: changed([attention], () => ({ window: other })), weights };
    }
    if (numberOf(attention, 'softcap') > 0) {
      const statement = 'agrees if its scores are not capped.';
      yield { id: 'softcap', statement, nodes: changed([attention], () => ({ softcap: { float: 0 } })), weights };
    }
  }
}

/** A table whose row p is row p + `by` of another; its ends repeat. */
function moved(rows: WeightRows, by: number): WeightRows {
  return {
    rows: rows.rows,
    cols: rows.cols,
    close: () => rows.close?.(),
    async readFloat32(first, count, out) {
      for (let row = 0; row < count; row++) {
        const from = Math.min(rows.rows - 1, Math.max(0, first + row + by));
        await rows.readFloat32(from, 1, out.subarray(row * rows.cols, (row + 1) * rows.cols));
      }
    },
  };
}

function mapped(rows: WeightRows, change: (value: number) => number): WeightRows {
  return {
    rows: rows.rows,
    cols: rows.cols,
    close: () => rows.close?.(),
    async readFloat32(first, count, out) {
      await rows.readFloat32(first, count, out);
      for (let i = 0; i < count * rows.cols; i++) out[i] = change(out[i]);
    },
  };
}
