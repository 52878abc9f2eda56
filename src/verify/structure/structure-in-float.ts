import type { Graph } from '../../core/graph.js';
import type { Check } from '../../core/verify-report.js';
import type { ValueProbe } from '../../runtime/value-probe.js';
import { HIDDEN_TOKENS } from '../logits/hidden-states.js';
import type { Engine } from '../referees/engine-on-weights.js';
import type { TokenSet } from '../tokens/token-set.js';
import type { Findings } from '../verdict/found-so-far.js';
import { DECODED_VALUES } from './decode-difference.js';
import { probe, using } from './graph-probe.js';
import type { RunContext } from './run-context.js';
import { StructureDifference } from './structure-difference.js';

const EXACT = { isExact: true, relative: 0, reason: '' };

/**
 * Where activations are rounded on the way, to int8 before a product or to uint16 between operators, that rounding
 * hides small mistakes of the graph. The same graph without it must give what its weights give in full precision,
 * within 2e-4, in one prefill and through the cache: in a pipeline the second goes through the iterator, which is
 * another graph. Nothing where it cannot be had: a graph in float16 has no form without its rounding.
 *
 * A set of which all that is off comes after a near-tie of a router is proven where all its tokens agree without the
 * rounding: no mistake of the graph is left that the tie could hide.
 */
export async function floatStructure(
  context: RunContext,
  graphs: ReadonlyMap<string, Graph>,
  sets: TokenSet[],
  findings: Findings,
): Promise<void> {
  const { own, allowance } = context;
  const inHalf = [...graphs.values()].some(({ inputs }) => inputs.some(({ dtype }) => dtype === 'FLOAT16'));
  if (!own || allowance.isExact || inHalf || sets.length === 0) return;
  const found = await probe(context, graphs, own.graph.hiddenStates, true);
  if (!found) return;
  await using(found.opened, async (opened) => {
    const [set, ids] = longest(sets);
    findings.checks.push(...(await decodedChecks(context, own, opened, set, ids)));
    for (const each of sets) {
      const open = findings.checks.find(
        ({ id, verdict }) => id === `structure ${each.name}` && verdict === 'ambiguous',
      );
      if (!open) continue;
      const proof = await wholeSet(context, own, opened, each);
      if (proof.verdict !== 'ambiguous') findings.checks.push(proof);
      if (proof.verdict !== 'pass') continue;
      findings.notes.push(open.message);
      open.verdict = 'pass';
      open.message += ' Without the rounding all of it agrees, so that it is the tie alone.';
    }
  });
}

/** The longest sequence, which crosses the most borders of windows. */
function longest(sets: TokenSet[]): [set: string, ids: number[]] {
  const all = sets.flatMap(({ name, sequences }) => sequences.map((ids): [string, number[]] => [name, ids]));
  return all.reduce((a, b) => (b[1].length > a[1].length ? b : a));
}

/** The first tokens of a sequence, of a pipeline past two borders of windows: in one prefill and in two kinds of steps. */
async function decodedChecks(
  { opened: { genai } }: RunContext,
  own: Engine,
  opened: ValueProbe,
  set: string,
  ids: readonly number[],
): Promise<Check[]> {
  const window = genai.model.decoder.sliding_window?.window_size ?? 0;
  const most = Math.max(2 * window + 1, HIDDEN_TOKENS);
  const sequence = ids.slice(0, Math.min(most, Math.max(32, Math.floor(DECODED_VALUES / own.vocabulary))));
  const name = genai.model.decoder.outputs.logits ?? 'logits';
  const [prefill, decode] = [new StructureDifference(EXACT), new StructureDifference(EXACT)];
  const { logits: expected } = await own.run([[...sequence]], {
    onRoutingMargin: (margin) => {
      prefill.decide(margin, 0);
      decode.decide(margin, 0);
    },
  });
  const add = (to: StructureDifference, values: Awaited<ReturnType<ValueProbe['prefill']>>) => {
    const found = values.get(name);
    for (let at = 0; at < sequence.length; at++) {
      const [from, end] = [at * own.vocabulary, (at + 1) * own.vocabulary];
      to.add(0, at, at, expected.subarray(from, end), found?.data.subarray(from, end) ?? new Float32Array(0));
    }
  };
  const values = await opened.prefill(sequence);
  if (!values.has(name)) return [];
  add(prefill, values);
  // As in decoding: chunks of 7 end inside windows, whose padding leaves entries in the cache that must not be read.
  for (const chunk of [1, 7]) add(decode, await opened.steps(sequence, chunk));
  return [
    inFloat(prefill.check(set), set, 'structure', ''),
    inFloat(decode.check(set), set, 'decode', ' through the cache'),
  ];
}

/** All sequences of a set in one prefill each. */
async function wholeSet(
  { opened: { genai } }: RunContext,
  own: Engine,
  opened: ValueProbe,
  { name, sequences }: TokenSet,
): Promise<Check> {
  const logits = genai.model.decoder.outputs.logits ?? 'logits';
  const structure = new StructureDifference(EXACT);
  let start = 0;
  for (const [index, ids] of sequences.entries()) {
    const actual = (await opened.prefill(ids)).get(logits);
    if (!actual) continue;
    await own.run([ids], {
      onRoutingMargin: (margin) => structure.decide(margin, index),
      onLogits: (_sequence, position, row) => {
        const found = actual.data.subarray(position * row.length, (position + 1) * row.length);
        structure.add(index, position, start + position, row, found);
      },
    });
    start += ids.length;
  }
  return inFloat(structure.check(name), `all of ${name}`, 'structure', '');
}

function inFloat(check: Check, set: string, kind: 'structure' | 'decode', how: string): Check {
  const message = check.message.replace(
    "the package's logits are",
    `the package's logits${how}, computed in float32 without rounded activations, are`,
  );
  return { ...check, id: `${kind} ${set} in float32`, message };
}
