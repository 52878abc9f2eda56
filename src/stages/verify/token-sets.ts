import { UsageError } from '../../core/errors.js';
import type { ComparedTokens, GreedyResult } from '../../core/verify-report.js';
import { seededRandom } from '../../metrics/math/bootstrap.js';
import type { StoredSet } from './stored-reference.js';

/** What a referee has said about a token set. */
export interface Answer {
  referee: 'golden' | 'command';
  stored: StoredSet;
}

/** Token ids that package and reference are both asked about. */
export interface TokenSet {
  name: string;
  sequences: number[][];
  /** Stored answers; the reference engine's are computed. */
  answers: Answer[];
}

/** Tokens of the random set: enough for the reference to take seconds, too few for narrow intervals. */
const RANDOM_TOKENS = 128;
/** Float32 logits held of one run at a time: 160 MB. */
const BATCH_VALUES = 40 << 20;

/** The same ids for the same vocabulary, seed and length, on every machine. */
export function randomIds(vocabulary: number, longest: number, seed = 1): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: Math.min(RANDOM_TOKENS, longest) }, () => Math.floor(random() * vocabulary));
}

/** Reads `--ids`: token ids separated by commas, sequences by semicolons. Throws UsageError. */
export function parseIds(text: string): number[][] {
  const sequences = text.split(';').map((part) => part.split(',').map((each) => each.trim()));
  for (const id of sequences.flat()) {
    if (/^\d+$/.test(id)) continue;
    throw new UsageError(
      `--ids "${text}" is not a list of token ids.`,
      'separate whole numbers by commas: --ids 1,2,3',
    );
  }
  return sequences.map((each) => each.map(Number));
}

/** The ids of the sets, and the text of each of them and of the greedy continuations, for a report. */
export function comparedTokens(
  sets: readonly TokenSet[],
  textOf: (id: number) => string | null,
  greedy: GreedyResult | null = null,
): ComparedTokens {
  const texts: Record<string, string> = {};
  for (const id of [
    ...sets.flatMap(({ sequences }) => sequences.flat()),
    ...(greedy?.expected ?? []),
    ...(greedy?.actual ?? []),
  ]) {
    if (id in texts) continue;
    const text = textOf(id);
    if (text !== null) texts[id] = text;
  }
  return { sets: sets.map(({ name, sequences }) => ({ name, sequences })), texts };
}

/** A run of neighbouring sequences whose logits fit in memory together. */
export interface Batch {
  from: number;
  sequences: number[][];
  /** First token of each sequence, counted from the batch's begin. */
  starts: number[];
}

/** Splits sequences into batches; one sequence alone may be larger than a batch should be. */
export function batchesOf(sequences: number[][], vocabulary: number): Batch[] {
  const batches: Batch[] = [];
  let values = 0;
  sequences.forEach((sequence, index) => {
    const size = sequence.length * vocabulary;
    if (batches.length === 0 || values + size > BATCH_VALUES) {
      batches.push({ from: index, sequences: [], starts: [] });
      values = 0;
    }
    const batch = batches[batches.length - 1];
    batch.starts.push(values / vocabulary);
    batch.sequences.push(sequence);
    values += size;
  });
  return batches;
}
