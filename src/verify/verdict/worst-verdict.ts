import type { Verdict } from '../../core/verify-report.js';
import type { Findings } from './found-so-far.js';

/** The worst verdict of all checks, and the sentence of the first check that has it. */
export function judge({ checks }: Findings): { verdict: Verdict; summary: string } {
  for (const verdict of ['fail', 'ambiguous'] as const) {
    const found = checks.filter((each) => each.verdict === verdict);
    if (found.length === 0) continue;
    const more = found.length === 1 ? '' : ` (and ${found.length - 1} more)`;
    return { verdict, summary: `${found[0].message}${more}` };
  }
  if (checks.length === 0) {
    return {
      verdict: 'ambiguous',
      summary: 'Nothing could be judged: the package has no manifest and no --gate was given.',
    };
  }
  return { verdict: 'pass', summary: `${checks.length} checks hold.` };
}
