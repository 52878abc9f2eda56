import type { ComparedTokens, GreedyResult } from '../../core/verify-report.js';
import type { StoredSet } from '../referees/stored-reference.js';

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
