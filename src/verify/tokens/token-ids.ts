import { UsageError } from '../../core/errors.js';
import { seededRandom } from '../../metrics/math/bootstrap.js';

/** Tokens of the random set: enough for the reference to take seconds, too few for narrow intervals. */
const RANDOM_TOKENS = 128;

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

/** Throws UsageError for an id that a vocabulary does not have; passes where its size is not known. */
export function checkIds(sequences: number[][], vocabulary: number | undefined): void {
  const stranger = sequences.flat().find((id) => vocabulary !== undefined && id >= vocabulary);
  if (stranger === undefined) return;
  throw new UsageError(
    `--ids: token id ${stranger} is not in the vocabulary, which has ids 0 to ${(vocabulary as number) - 1}.`,
    'use ids of the tokenizer that belongs to this model.',
  );
}
