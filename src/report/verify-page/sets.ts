import type { Comparison, VerifyReport } from '../../core/verify-report.js';

const REFEREES: Comparison['referee'][] = ['engine', 'command', 'golden'];

/** One comparison for each token set: referees that agree say the same, so that the first of them speaks. */
export function oneForEachSet(comparisons: readonly Comparison[]): Comparison[] {
  const sets = new Map<string, Comparison>();
  for (const each of comparisons) {
    const known = sets.get(each.set);
    if (!known || REFEREES.indexOf(each.referee) < REFEREES.indexOf(known.referee)) sets.set(each.set, each);
  }
  return [...sets.values()];
}

/** The comparison with the most tokens, whose numbers are the surest. */
export const leading = (comparisons: readonly Comparison[]): Comparison | undefined =>
  oneForEachSet(comparisons).reduce<Comparison | undefined>((a, b) => (a && a.tokens >= b.tokens ? a : b), undefined);

/** Ids of a set's sequences; undefined where the report has none. */
export const sequencesOf = ({ tokens }: VerifyReport, set: string): number[][] | undefined =>
  tokens?.sets.find(({ name }) => name === set)?.sequences;
