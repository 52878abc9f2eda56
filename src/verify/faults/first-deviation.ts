import type { Graph } from '../../core/graph.js';
import type { Hypothesis } from '../../core/verify-report.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';
import type { ProbedValue } from '../../runtime/value-probe.js';
import { HIDDEN_TOKENS } from '../logits/hidden-states.js';
import { probe, using, withEnds } from '../structure/graph-probe.js';
import type { RunContext } from '../structure/run-context.js';
import { short } from '../verdict/short-number.js';
import { graphHypotheses } from './graph-hypotheses.js';
import { describeValue } from './value-names.js';

/** A value that is off counts as the place of a fault where its error is so many times the greatest before it. */
const JUMP = 8;

/** Relative error that float arithmetic does not reach: 2e-4 of logits of size 1. */
const FLOAT_ERROR = 1e-4;

/**
 * The first value inside the graph that is not what the package's own numbers give, in the order of the drawing: of one
 * prefill, or through the cache token by token, which in a pipeline is another graph.
 */
export async function firstDeviation(
  context: RunContext,
  graphs: ReadonlyMap<string, Graph>,
  ids: readonly number[],
  way: 'prefill' | 'steps' = 'prefill',
): Promise<{ name: string; layer: number | null; message: string; hypotheses: Hypothesis[] } | null> {
  const { own } = context;
  if (!own) return null;
  const names = own.graph.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== 'logits'));
  const found = await probe(context, graphs, names, true);
  if (!found) return null;
  // Of a pipeline past the border of its first window.
  const window = context.opened.genai.model.decoder.sliding_window?.window_size ?? 0;
  const sequence = ids.slice(0, Math.max(HIDDEN_TOKENS, window + 8));
  const seen = await using(found.opened, (each) => each[way](sequence));
  const values = withEnds(seen, own.graph);
  let before = 0;
  let first: { name: string; error: number } | null = null;
  // Products in float32: no other rounding is left.
  const limit = FLOAT_ERROR;
  await own.run([[...sequence]], {
    onLogits: () => {},
    onValue: (name, data, width) => {
      const error = first ? null : relativeError(values.get(name), data, width);
      if (error === null) return;
      if (!(error <= Math.max(limit, JUMP * before))) first = { name, error };
      before = Math.max(before, error);
    },
  });
  if (first === null) return null;
  const { name, error } = first as { name: string; error: number };
  const where = describeValue(name);
  const size = Number.isFinite(error) ? `its error is ${short(100 * error)} %` : 'it holds what is not a number';
  const graph = graphs.size === 1 ? 'the graph' : way === 'prefill' ? 'the graph of prompt windows' : 'the iterator';
  const message = `${where} is the first value inside ${graph} that is off: ${size}, ${before === error || before < limit ? 'all before it agree' : `those before it stay below ${short(100 * limit)} %`}.`;
  return {
    name: where,
    layer: layerOf(where),
    message,
    hypotheses: await graphHypotheses(own, name, values, sequence, context.threads),
  };
}

/** The first hidden state that a token has through the cache and not in one prefill. */
export async function firstStale(
  context: RunContext,
  graphs: ReadonlyMap<string, Graph>,
  ids: readonly number[],
): Promise<{ layer: number | null; message: string } | null> {
  const names = (context.own ?? context.reference)?.graph.hiddenStates ?? [];
  const found = await probe(context, graphs, names, true);
  if (!found) return null;
  const sequence = ids.slice(0, HIDDEN_TOKENS);
  const [whole, last] = await using(found.opened, async (each) => [
    await each.prefill(sequence),
    await each.decode(sequence),
  ]);
  for (const [index, name] of names.entries()) {
    const [a, b] = [whole.get(name), last.get(name)];
    if (!a || !b) continue;
    const error = relativeError({ data: a.data.subarray(-a.width), width: a.width }, b.data, b.width);
    if (error === null || error <= FLOAT_ERROR) continue;
    const message = `layer ${index - 1} is the first whose result for a token differs by ${short(100 * error)} % between one prefill and the cache: its cache is read or written wrongly.`;
    return { layer: index - 1, message };
  }
  return null;
}

function relativeError(found: ProbedValue | undefined, expected: Float32Array, width: number): number | null {
  if (found?.width !== width || found.data.length !== expected.length) return null;
  // What selection leaves out is minus infinity where the model is drawn and any very small number in a graph.
  const isNumber = expected.every(Number.isFinite);
  const [theirs, ours] = isNumber
    ? [expected, found.data]
    : [expected, found.data].map((values) => values.filter((_, index) => Number.isFinite(expected[index])));
  const sums = new ErrorSums().add(theirs, ours);
  if (Number.isNaN(sums.noise)) return Number.POSITIVE_INFINITY;
  if (sums.noise === 0) return 0;
  return Math.sqrt(sums.noise / (sums.signal || 1));
}

const layerOf = (where: string): number | null => {
  const match = /^layer (\d+)/.exec(where);
  return match ? Number(match[1]) : null;
};
