import type { Check, Comparison } from '../../core/verify-report.js';
import type { Package } from '../../formats/package-reader.js';
import type { EvaluationOptions } from '../../reference/evaluate.js';
import type { Decoder } from '../../runtime/decoder.js';
import { largestDifference } from './difference.js';
import type { Engine } from './engine.js';
import { atMost, type Findings, short } from './findings.js';
import type { HiddenStates } from './layers.js';
import { LogitComparison, metricOf, type positionMetrics, type TokenText } from './logit-comparison.js';
import { packageLogits } from './package-logits.js';
import { compareDecode, compareGreedy } from './run-package.js';
import type { StoredReference } from './stored-reference.js';
import { type Batch, batchesOf, type TokenSet } from './token-sets.js';

/** Float32 implementations are up to 5e-5 apart in logits; the smallest mistake tried moves them by 1e-3. */
export const TOLERANCE = 2e-4;

/** A package at work beside its referees. */
export interface RunContext {
  opened: Package;
  decoder: Decoder;
  /** The engine on the package's own dequantized weights; null without a manifest. */
  own: Engine | null;
  /** The engine on the reference checkpoint's weights; null where the reference is stored logits. */
  reference: Engine | null;
  /** Whether the package's numbers are the checkpoint's, so that its logits must be as well. */
  isLossless: boolean;
  /** What the package's logits may differ by from what its numbers say. */
  allowance: Allowance;
  metrics: Awaited<ReturnType<typeof positionMetrics>>;
  textOf: TokenText;
  /** Hidden states of the first tokens of the first set, as each engine had them. */
  hidden: { own: HiddenStates; reference: HiddenStates };
  threads?: number;
  signal?: AbortSignal;
}

/**
 * `exact`: float arithmetic, 2e-4. Otherwise activations are rounded on the way, and the root mean square of the
 * logits' error over that of the logits may be `relative`: how it is derived stands in `rounding.ts`.
 */
export interface Allowance {
  isExact: boolean;
  relative: number;
  reason: string;
}

interface SetRun {
  golden: LogitComparison | null;
  engine: LogitComparison | null;
  structure: { difference: number; position: number; noise: number; signal: number };
}

/** Runs package and referees over every token set and judges structure, decoding and the greedy continuation. */
export async function runChecks(context: RunContext, sets: TokenSet[], findings: Findings): Promise<void> {
  for (const set of sets) await runSet(context, set, findings);
}

async function runSet(context: RunContext, set: TokenSet, findings: Findings): Promise<void> {
  const { decoder, metrics, textOf, own, reference } = context;
  const stored = set.stored?.logits();
  if (set.stored && set.stored.vocabulary !== decoder.vocabSize) {
    findings.checks.push({
      id: `vocabulary ${set.name}`,
      group: 'structure',
      verdict: 'fail',
      message: `The package has ${decoder.vocabSize} logits a token, the reference ${set.stored.vocabulary}.`,
      where: 'genai_config.json',
    });
    return;
  }
  const run: SetRun = {
    golden: stored ? new LogitComparison(set.name, 'golden', metrics, textOf) : null,
    engine: reference ? new LogitComparison(set.name, 'engine', metrics, textOf) : null,
    structure: { difference: 0, position: 0, noise: 0, signal: 0 },
  };
  let [goldenGap, token] = [0, 0];
  for (const batch of batchesOf(set.sequences, decoder.vocabSize)) {
    const actual = await packageLogits(context.opened, decoder, batch.sequences, context.signal);
    const golden = stored?.subarray(token * decoder.vocabSize, token * decoder.vocabSize + actual.length);
    if (golden) addBatch(run.golden as LogitComparison, batch, golden, actual);
    if (own && (batch.from === 0 || !reference)) {
      const expected = (await own.run(batch.sequences, keeping(context.hidden.own, batch))).logits;
      addStructure(run.structure, expected, actual, decoder.vocabSize, token);
    }
    if (reference) {
      const expected = (await reference.run(batch.sequences, keeping(context.hidden.reference, batch))).logits;
      addBatch(run.engine as LogitComparison, batch, expected, actual);
      if (golden && !set.stored?.isReduced)
        goldenGap = Math.max(goldenGap, largestDifference(golden, expected, decoder.vocabSize).value);
    }
    token += actual.length / decoder.vocabSize;
  }
  const comparisons = [run.golden, run.engine].flatMap((each) => each?.finish() ?? []);
  findings.comparisons.push(...comparisons);
  if (own) findings.checks.push(structureCheck(set.name, run.structure, context.allowance));
  if (reference && run.golden) findings.checks.push(refereesAgree(set.name, goldenGap));
  if (context.isLossless && !set.stored?.isReduced) findings.checks.push(...comparisons.map(losslessCheck));
}

/** Keeps the hidden states of the first batch of all. */
function keeping(hidden: HiddenStates, { sequences }: Batch): EvaluationOptions {
  if (hidden.tokens > 0) return {};
  const [{ length }] = sequences;
  return { onHidden: (index, values, width) => hidden.keep(index, values, width, length) };
}

/** Sequences of a batch lie end to end in both runs. */
function addBatch(into: LogitComparison, batch: Batch, reference: Float32Array, actual: Float32Array): void {
  const tokens = batch.sequences.reduce((sum, each) => sum + each.length, 0);
  const width = actual.length / tokens;
  let at = 0;
  for (const sequence of batch.sequences) {
    const [from, to] = [at * width, (at + sequence.length) * width];
    into.add(sequence, reference.subarray(from, to), actual.subarray(from, to));
    at += sequence.length;
  }
}

function addStructure(
  sum: SetRun['structure'],
  expected: Float32Array,
  actual: Float32Array,
  width: number,
  firstToken: number,
): void {
  const { value, row } = largestDifference(expected, actual, width);
  if (!(value <= sum.difference)) {
    sum.difference = value;
    sum.position = firstToken + row;
  }
  for (let i = 0; i < actual.length; i++) {
    sum.noise += (expected[i] - actual[i]) ** 2;
    sum.signal += expected[i] ** 2;
  }
}

function structureCheck(set: string, found: SetRun['structure'], allowance: Allowance): Check {
  const base = { id: `structure ${set}`, group: 'structure' as const, where: `position ${found.position}` };
  if (allowance.isExact) {
    return atMost({
      ...base,
      measured: found.difference,
      limit: TOLERANCE,
      unit: 'logits',
      message: `On ${set} the package's logits are ${short(found.difference)} off what its own weights give in full precision (at most ${TOLERANCE}).`,
    });
  }
  const relative = Math.sqrt(found.noise / found.signal);
  return atMost({
    ...base,
    measured: relative,
    limit: allowance.relative,
    unit: 'share of the logits',
    message: `On ${set} the error of the logits is ${short(100 * relative)} % of what the package's own weights give in full precision (at most ${short(100 * allowance.relative)} %: ${allowance.reason}).`,
  });
}

function refereesAgree(set: string, gap: number): Check {
  return atMost({
    id: `reference ${set}`,
    group: 'reference',
    measured: gap,
    limit: TOLERANCE,
    unit: 'logits',
    where: 'golden.safetensors',
    message: `The reference engine on the checkpoint is ${short(gap)} off the stored logits of ${set} (at most ${TOLERANCE}).`,
  });
}

function losslessCheck(comparison: Comparison): Check {
  const value = metricOf(comparison, 'max_abs_difference');
  return atMost({
    id: `logits ${comparison.set} ${comparison.referee}`,
    group: 'structure',
    measured: value,
    limit: TOLERANCE,
    unit: 'logits',
    message: `The package has the checkpoint's own numbers and its logits on ${comparison.set} are ${short(value)} off the reference (at most ${TOLERANCE}).`,
  });
}

/** Prefill against decode on the first sequence of each set, and the stored greedy continuation. */
export async function runDecoding(
  context: RunContext,
  sets: TokenSet[],
  stored: StoredReference | null,
  findings: Findings,
): Promise<void> {
  const { decoder, allowance, signal } = context;
  for (const set of sets) {
    const result = await compareDecode(decoder, set.name, set.sequences[0], signal);
    findings.decode.push(result);
    const limit = allowance.isExact ? TOLERANCE : decodeLimit(findings.comparisons, allowance);
    findings.checks.push(
      atMost({
        id: `decode ${set.name}`,
        group: 'structure',
        measured: result.maxAbsDifference,
        limit,
        unit: 'logits',
        where: `position ${result.position}`,
        message: `Through the cache, ${result.tokens} tokens of ${set.name} give logits ${short(result.maxAbsDifference)} off one prefill (at most ${short(limit)}).`,
      }),
    );
  }
  if (!stored?.greedy) return;
  const greedy = await compareGreedy(decoder, stored.greedy, signal);
  findings.greedy = greedy;
  if (!context.isLossless) return;
  const isTie = greedy.gap !== null && greedy.gap <= 2 * TOLERANCE;
  findings.checks.push({
    id: 'greedy',
    group: 'structure',
    verdict: greedy.firstDivergence === null ? 'pass' : isTie ? 'ambiguous' : 'fail',
    message:
      greedy.firstDivergence === null
        ? `All ${greedy.tokens} greedy tokens are those of the reference.`
        : `Greedy token ${greedy.firstDivergence + 1} of ${greedy.tokens} is not the reference's${isTie ? `; its two best logits are only ${short(greedy.gap ?? 0)} apart` : ''}.`,
    measured: greedy.equalTokens,
    limit: greedy.tokens,
    unit: 'tokens',
  });
}

/** With rounded activations, ties of the rounding fall differently in decode: what one rounding may do to a logit. */
function decodeLimit(comparisons: Comparison[], { relative }: Allowance): number {
  const logits = comparisons.flatMap(({ metrics }) => metrics.filter(({ id }) => id === 'max_abs_difference'));
  return Math.max(relative, ...logits.map(({ value }) => value));
}
