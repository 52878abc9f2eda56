import { UsageError } from '../../core/errors.js';
import { type Gate, holds, readGate } from '../../core/gate.js';
import type { Check, Verdict } from '../../core/verify-report.js';
import { ids } from '../../registry.js';
import type { Findings } from './found-so-far.js';
import { short } from './short-number.js';

/** Numbers that are gated besides the registered metrics. */
const OTHERS = ['relative_error', 'decode_difference', 'greedy_tokens'];

/** Reads `--gate`. Throws UsageError for an unknown metric or a missing number. */
export const parseGate = (text: string): Gate =>
  readGate(text, [...ids('metrics').filter((id) => id !== 'sqnr_db'), 'sqnr_db', ...OTHERS], 'kl_divergence<0.02');

/** Positions below which a bootstrap has too few blocks to say how sure a metric is. */
const FEWEST = 32;

/** What was measured besides metrics over positions. */
function othersOf({ comparisons, decode, greedy, tensors }: Findings): Record<string, number | undefined> {
  const most = (values: number[]) => (values.length === 0 ? undefined : Math.max(...values));
  const sqnr = tensors.map(({ sqnrDb }) => sqnrDb ?? Number.POSITIVE_INFINITY);
  return {
    relative_error: most(comparisons.map(({ relativeError }) => relativeError)),
    decode_difference: most(decode.map(({ maxAbsDifference }) => maxAbsDifference)),
    greedy_tokens: greedy?.equalTokens,
    sqnr_db: sqnr.length === 0 ? undefined : Math.min(...sqnr),
  };
}

/**
 * Judges a gate on each token set. `ambiguous` where the 95 % interval reaches over the limit, where there are too few
 * positions for one, and where near-ties of the reference or what a reduced reference leaves open decide.
 */
export function judgeGate(gate: Gate, findings: Findings): Check[] {
  const { comparisons, perplexity } = findings;
  const check = (value: number, low: number, high: number, where: string, tokens = Number.POSITIVE_INFINITY): Check => {
    const isShort = tokens < FEWEST;
    const verdict: Verdict = Number.isNaN(value)
      ? 'fail'
      : !isShort && holds(low, gate) && holds(high, gate)
        ? 'pass'
        : !isShort && !holds(value, gate) && !holds(low, gate) && !holds(high, gate)
          ? 'fail'
          : 'ambiguous';
    const range = low === high ? '' : ` (95 %: ${short(low)} to ${short(high)})`;
    const unsure = isShort ? `cannot be judged on ${tokens} tokens` : 'is within the error of measurement';
    const said = { pass: 'holds', fail: 'does not hold', ambiguous: unsure }[verdict];
    return {
      id: `gate ${gate.text}`,
      group: 'gate',
      verdict,
      message: `${gate.metric} is ${short(value)}${range} on ${where}: ${gate.text} ${said}.`,
      measured: value,
      limit: gate.limit,
      where,
    };
  };
  const checks = comparisons.flatMap(({ set, referee, tokens, metrics, klBound = 0, ties = 0 }) => {
    const found = metrics.find(({ id }) => id === gate.metric);
    if (!found) return [];
    const { value, interval } = found;
    const more = gate.metric === 'kl_divergence' ? klBound : gate.metric === 'top1_agreement' ? ties / tokens : 0;
    return [check(value, interval?.low ?? value, (interval?.high ?? value) + more, `${set} (${referee})`, tokens)];
  });
  if (gate.metric === 'perplexity' && perplexity && checks.length === 0) {
    checks.push(check(perplexity.value, perplexity.interval.low, perplexity.interval.high, perplexity.text));
  }
  const other = othersOf(findings)[gate.metric];
  if (other !== undefined) checks.push(check(other, other, other, 'the package'));
  if (checks.length > 0) return checks;
  if (comparisons.length === 0 && findings.checks.some(({ verdict }) => verdict === 'fail')) {
    const message = `${gate.metric} was not measured, since the rest is not in order: ${gate.text} is open.`;
    return [{ id: `gate ${gate.text}`, group: 'gate', verdict: 'ambiguous', message }];
  }
  throw new UsageError(
    `--gate ${gate.text}: ${gate.metric} was not measured in this run.`,
    'give a reference that has it: perplexities need --text, sqnr_db a checkpoint.',
  );
}
