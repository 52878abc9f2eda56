import { formatBytes } from '../core/bytes.js';
import { printableLines } from '../core/printable.js';
import type { Interval, VerifyReport } from '../core/verify-report.js';
import { table } from './table.js';

const short = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(5))) : String(value);
const range = (interval: Interval | null) =>
  interval === null ? '' : `${short(interval.low)} to ${short(interval.high)}`;

/** A report for a terminal: verdict, what is wrong, then the numbers. */
export function verifyText(report: VerifyReport): string {
  const { subject, checks, comparisons, perplexity, greedy, localisation } = report;
  const lines = [`${report.verdict.toUpperCase()}  ${subject.path}: ${report.summary}`];
  for (const check of checks.filter(({ verdict }) => verdict !== 'pass')) {
    lines.push(`  ${check.verdict}  ${check.message}`);
  }
  if (localisation) {
    lines.push(...localisation.findings.map((each) => `  where  ${each}`));
    for (const { statement, likely } of localisation.hypotheses) if (likely) lines.push(`  why    ${statement}`);
  }
  const passed = checks.filter(({ verdict }) => verdict === 'pass');
  if (passed.length > 0) lines.push(`${passed.length} of ${checks.length} checks pass`);
  for (const comparison of comparisons) {
    const title = `${comparison.set} (${comparison.tokens} tokens) against ${comparison.referee}`;
    const rows = comparison.metrics.map(({ id, value, interval, unit }) => [id, short(value), range(interval), unit]);
    lines.push('', ...table([title, 'value', '95 %', ''], rows));
  }
  const rows: string[][] = [];
  for (const { set, tokens, maxAbsDifference } of report.decode) {
    rows.push([`prefill against decode, ${set}`, short(maxAbsDifference), `${tokens} tokens`]);
  }
  if (greedy) rows.push(['greedy tokens equal', `${greedy.equalTokens} of ${greedy.tokens}`, '']);
  if (perplexity) {
    rows.push([
      `perplexity of ${perplexity.text}`,
      perplexity.value.toFixed(4),
      `${perplexity.windows} windows of ${perplexity.windowTokens}`,
    ]);
    if (perplexity.reference !== null) rows.push(['  of the reference', perplexity.reference.toFixed(4), '']);
  }
  if (subject.weightBytes !== null) {
    const total = subject.files.reduce((sum, { size }) => sum + size, 0);
    rows.push(['weights', formatBytes(subject.weightBytes), `${subject.bitsPerWeight?.toFixed(2)} bits per weight`]);
    rows.push(['package', formatBytes(total), `${subject.files.length} files`]);
  }
  if (rows.length > 0) lines.push('', ...table(['package', '', ''], rows));
  lines.push(...report.notes.map((note) => `note: ${note}`));
  return printableLines(lines);
}
