import { UsageError } from '../../core/errors.js';
import { nearest } from '../../core/nearest.js';
import type { Check, Comparison, PerplexityResult, Verdict } from '../../core/verify-report.js';
import { ids } from '../../registry.js';

/** A demand of the command line, as `kl_divergence<0.02`. */
export interface Gate {
  text: string;
  metric: string;
  operator: '<' | '<=' | '>' | '>=';
  limit: number;
}

/** Numbers that are gated besides the registered metrics. */
const OTHERS = ['relative_error', 'decode_difference', 'greedy_tokens'];

/** Reads `--gate`. Throws UsageError for an unknown metric or a missing number. */
export function parseGate(text: string): Gate {
  const match = /^\s*([a-z0-9_]+)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*$/.exec(text);
  const known = [...ids('metrics').filter((id) => id !== 'sqnr_db'), 'sqnr_db', ...OTHERS];
  if (!match || !Number.isFinite(Number(match[3]))) {
    throw new UsageError(`--gate ${text}: needed is <metric><comparison><number>.`, "--gate 'kl_divergence<0.02'.");
  }
  if (!known.includes(match[1])) {
    const guess = nearest(match[1], known);
    throw new UsageError(
      `--gate ${text}: there is no metric "${match[1]}"; there are ${known.join(', ')}.`,
      guess ? `--gate '${guess}${match[2]}${match[3]}'.` : undefined,
    );
  }
  return { text, metric: match[1], operator: match[2] as Gate['operator'], limit: Number(match[3]) };
}

/** NaN holds no gate. */
function holds(value: number, { operator, limit }: Gate): boolean {
  switch (operator) {
    case '<':
      return value < limit;
    case '<=':
      return value <= limit;
    case '>':
      return value > limit;
    default:
      return value >= limit;
  }
}

export interface Measured {
  comparisons: Comparison[];
  perplexity: PerplexityResult | null;
  others: Record<string, number | undefined>;
}

/** Judges a gate on each token set; where the interval reaches over the limit the answer is `ambiguous`. */
export function judgeGate(gate: Gate, { comparisons, perplexity, others }: Measured): Check[] {
  const check = (value: number, low: number, high: number, where: string): Check => {
    const verdict: Verdict = Number.isNaN(value)
      ? 'fail'
      : holds(low, gate) && holds(high, gate)
        ? 'pass'
        : !holds(value, gate) && !holds(low, gate) && !holds(high, gate)
          ? 'fail'
          : 'ambiguous';
    const range = low === high ? '' : ` (95 %: ${short(low)} to ${short(high)})`;
    const said = { pass: 'holds', fail: 'does not hold', ambiguous: 'is within the error of measurement' }[verdict];
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
  const checks = comparisons.flatMap(({ set, metrics }) => {
    const found = metrics.find(({ id }) => id === gate.metric);
    if (!found) return [];
    const { value, interval } = found;
    return [check(value, interval?.low ?? value, interval?.high ?? value, set)];
  });
  if (gate.metric === 'perplexity' && perplexity) {
    checks.push(check(perplexity.value, perplexity.interval.low, perplexity.interval.high, perplexity.text));
  }
  const other = others[gate.metric];
  if (other !== undefined) checks.push(check(other, other, other, 'the package'));
  if (checks.length > 0) return checks;
  throw new UsageError(
    `--gate ${gate.text}: ${gate.metric} was not measured in this run.`,
    'give a reference that has it: perplexities need --text, sqnr_db a checkpoint.',
  );
}

const short = (value: number) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value));
