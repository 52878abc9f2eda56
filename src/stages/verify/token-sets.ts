import { UsageError } from '../../core/errors.js';
import type { ComparedTokens } from '../../core/verify-report.js';
import { seededRandom } from '../../metrics/math/bootstrap.js';
import type { StoredSet } from './stored-reference.js';

/** Token ids that package and reference are both asked about. */
export interface TokenSet {
  name: string;
  sequences: number[][];
  /** The reference's stored answer, where there is one. */
  stored?: StoredSet;
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

/** The ids of the sets and the text of each of them, for a report. */
export function comparedTokens(sets: readonly TokenSet[], textOf: (id: number) => string | null): ComparedTokens {
  const texts: Record<string, string> = {};
  for (const id of sets.flatMap(({ sequences }) => sequences.flat())) {
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
}

/** Splits sequences into batches; one sequence alone may be larger than a batch should be. */
export function batchesOf(sequences: number[][], vocabulary: number): Batch[] {
  const batches: Batch[] = [];
  let values = 0;
  sequences.forEach((sequence, index) => {
    const size = sequence.length * vocabulary;
    if (batches.length === 0 || values + size > BATCH_VALUES) {
      batches.push({ from: index, sequences: [] });
      values = 0;
    }
    batches[batches.length - 1].sequences.push(sequence);
    values += size;
  });
  return batches;
}
