import { UsageError } from '../core/errors.js';
import { nearest } from '../core/nearest.js';
import type { GateReport, TensorReport, TotalReport } from '../core/quantize-report.js';

/** A demand of the command line, as `sqnr_db>18` of every tensor or `total.sqnr_db>20` of all together. */
export interface QuantizeGate {
  text: string;
  metric: string;
  ofTotal: boolean;
  operator: '<' | '<=' | '>' | '>=';
  limit: number;
}

type Measured = TensorReport | TotalReport;

const share = (count: number | null, { weights }: Measured) => (count === null ? Number.NaN : count / (weights || 1));

/** What is gated, by its name; NaN where it was not found, which holds no gate. */
const METRICS: Record<string, (of: Measured) => number> = {
  sqnr_db: ({ sqnrDb, exact }) => (exact ? Number.POSITIVE_INFINITY : (sqnrDb ?? Number.NaN)),
  cosine: ({ cosine }) => cosine ?? Number.NaN,
  max_abs_error: ({ maxAbsError }) => maxAbsError ?? Number.NaN,
  saturated_share: (of) => share(of.saturated, of),
  zeroed_share: (of) => share(of.zeroed, of),
  outlier_share: (of) => share(of.outliers, of),
  bits_per_weight: ({ bitsPerWeight }) => bitsPerWeight,
};

/** Reads `--gate`. Throws UsageError for an unknown metric or a missing number. */
export function parseQuantizeGate(text: string): QuantizeGate {
  const match = /^\s*(total\.)?([a-z0-9_]+)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*$/.exec(text);
  const limit = match ? Number(match[4]) : Number.NaN;
  if (!match || !Number.isFinite(limit)) {
    throw new UsageError(`--gate ${text}: needed is <metric><comparison><number>.`, "--gate 'sqnr_db>18'.");
  }
  const [, prefix = '', metric, operator] = match;
  if (!Object.hasOwn(METRICS, metric)) {
    const known = Object.keys(METRICS);
    const guess = nearest(metric, known) ?? known[0];
    throw new UsageError(
      `--gate ${text}: there is no metric "${metric}"; there are ${known.join(', ')}, each also as total.<metric>.`,
      `--gate '${prefix}${guess}${operator}${match[4]}'.`,
    );
  }
  return { text: text.trim(), metric, ofTotal: prefix !== '', operator: operator as QuantizeGate['operator'], limit };
}

function holds(value: number, { operator, limit }: QuantizeGate): boolean {
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

/**
 * Judges a gate on every tensor that is quantized, or on their total. Tensors that are left alone are not judged:
 * nobody asked for their bits.
 */
export function judge(gate: QuantizeGate, tensors: readonly TensorReport[], total: TotalReport): GateReport {
  const judged = gate.ofTotal
    ? [{ name: 'total', of: total as Measured }]
    : tensors.filter(({ fate }) => fate !== 'unquantized').map((of) => ({ name: of.name, of: of as Measured }));
  const direction = gate.operator.startsWith('>') ? 1 : -1;
  const failed = judged
    .map(({ name, of }) => ({ name, value: METRICS[gate.metric](of) }))
    .filter(({ value }) => !holds(value, gate))
    .sort((a, b) => (Number.isNaN(a.value) ? -1 : Number.isNaN(b.value) ? 1 : direction * (a.value - b.value)))
    .map(({ name, value }) => ({ name, value: Number.isFinite(value) ? value : null }));
  return { text: gate.text, verdict: failed.length === 0 ? 'pass' : 'fail', failed };
}
