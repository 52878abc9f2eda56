import type { Check, Comparison } from '../../core/verify-report.js';
import type { StoredReference } from '../referees/stored-reference.js';
import type { TokenSet } from '../tokens/token-set.js';
import type { Findings } from '../verdict/found-so-far.js';
import { atMost } from '../verdict/limit-check.js';
import { short } from '../verdict/short-number.js';
import { TOLERANCE } from '../verdict/tolerance.js';
import type { Allowance } from './allowance.js';
import { compareDecode } from './decode-difference.js';
import { compareGreedy, greedyByEngine } from './greedy.js';
import type { RunContext } from './run-context.js';

/** Prefill against decode on the first sequence of each set, and a greedy continuation. */
export async function runDecoding(
  context: RunContext,
  sets: TokenSet[],
  stored: StoredReference | null,
  findings: Findings,
): Promise<void> {
  const { decoder, allowance, signal } = context;
  for (const set of sets) {
    const { size, ...result } = await compareDecode(decoder, set.name, set.sequences[0], signal);
    findings.decode.push(result);
    const limit = allowance.isExact ? TOLERANCE : decodeLimit(findings.comparisons, allowance, size);
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
  const { reference } = context;
  if (stored?.greedy) findings.greedy = await compareGreedy(decoder, stored.greedy, signal);
  else if (reference && sets.length > 0) {
    findings.greedy = await greedyByEngine(decoder, reference, sets[0].sequences[0], signal);
  }
  if (findings.greedy && context.isLossless) findings.checks.push(greedyCheck(findings.greedy));
}

function greedyCheck({ tokens, equalTokens, firstDivergence, gap }: NonNullable<Findings['greedy']>): Check {
  const isTie = gap !== null && gap <= 2 * TOLERANCE;
  const tie = isTie ? `; its two best logits are only ${short(gap)} apart` : '';
  return {
    id: 'greedy',
    group: 'structure',
    verdict: firstDivergence === null ? 'pass' : isTie ? 'ambiguous' : 'fail',
    message:
      firstDivergence === null
        ? `All ${tokens} greedy tokens are those of the reference.`
        : `Greedy token ${firstDivergence + 1} of ${tokens} is not the reference's${tie}.`,
    measured: equalTokens,
    limit: tokens,
    unit: 'tokens',
  };
}

/** Greatest of a million normal values over their root mean square is 4.9. */
const CREST = 5;

/**
 * With rounded activations, ties of the rounding fall differently in decode: what one rounding may do to a logit. It is
 * what it did against the reference, or, of a reference that keeps its best logits alone, what it may do to logits of
 * this root mean square.
 */
function decodeLimit(comparisons: Comparison[], { relative }: Allowance, size: number): number {
  const logits = comparisons.flatMap(({ metrics }) => metrics.filter(({ id }) => id === 'max_abs_difference'));
  if (logits.length === 0) return CREST * relative * size;
  return Math.max(relative, ...logits.map(({ value }) => value));
}
