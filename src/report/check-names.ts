import type { Check } from '../core/verify-report.js';

/**
 * A name for each check that no other check of the report has and that the next run gives it again: its id, for gates
 * with the token set, and a number where that is not enough.
 */
export function checkNames(checks: readonly Check[]): string[] {
  const seen = new Map<string, number>();
  return checks.map(({ id, group, where }) => {
    const name = group === 'gate' && where !== undefined ? `${id} on ${where}` : id;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name} (${count})`;
  });
}
