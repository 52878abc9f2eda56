import { type Gate, holds, readGate } from '../core/gate.js';
import { own } from '../core/own.js';
import type { GateReport, TensorReport, TotalReport } from '../core/quantize-report.js';

type Measured = TensorReport | TotalReport;

const share = (count: number | null, { weights }: Measured) => (count === null ? Number.NaN : count / (weights || 1));

/** What is gated, by its name; NaN where it was not found, which holds no gate. */
const METRICS: Record<string, (of: Measured) => number> = own({
  sqnr_db: ({ sqnrDb, exact }) => (exact ? Number.POSITIVE_INFINITY : (sqnrDb ?? Number.NaN)),
  cosine: ({ cosine }) => cosine ?? Number.NaN,
  max_abs_error: ({ maxAbsError }) => maxAbsError ?? Number.NaN,
  saturated_share: (of) => share(of.saturated, of),
  zeroed_share: (of) => share(of.zeroed, of),
  outlier_share: (of) => share(of.outliers, of),
  bits_per_weight: ({ bitsPerWeight }) => bitsPerWeight,
});

/** Reads `--gate`, as `sqnr_db>18` of every tensor or `total.sqnr_db>20` of all together. Throws UsageError. */
export const parseQuantizeGate = (text: string): Gate => readGate(text, Object.keys(METRICS), 'sqnr_db>18', ['total.']);

/**
 * Judges a gate on every tensor that is quantized, or on their total. Tensors that are left alone are not judged:
 * nobody asked for their bits.
 */
export function judge(gate: Gate, tensors: readonly TensorReport[], total: TotalReport): GateReport {
  const judged =
    gate.prefix === 'total.'
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
