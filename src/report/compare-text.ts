import { formatBytes } from '../core/bytes.js';
import { printableLines } from '../core/printable.js';
import type { MetricChange, ReportComparison, SizeChange } from '../core/verify-comparison.js';
import { table } from './table.js';

const short = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
const signed = (value: number): string => (value > 0 ? `+${short(value)}` : short(value));
const decibels = (value: number | null): string => (value === null ? 'exact' : `${value.toFixed(2)} dB`);

/** What changed between two reports, for a terminal. Metrics that changed in no digit are counted, not listed. */
export function compareText(comparison: ReportComparison): string {
  const { before, after, checks, metrics, tensors, settings } = comparison;
  const verdicts =
    before.verdict === after.verdict
      ? `${after.verdict.toUpperCase()} in both`
      : `${before.verdict.toUpperCase()} -> ${after.verdict.toUpperCase()}`;
  const lines = [verdicts, `  before  ${before.file}: ${before.summary}`, `  after   ${after.file}: ${after.summary}`];
  for (const { name, before: was, after: is } of settings) lines.push(`  ${name}: ${was ?? 'none'} -> ${is ?? 'none'}`);
  lines.push('', `${comparison.sameChecks} checks have the same verdict in both, ${checks.length} have not`);
  for (const { before: was, after: is, name, message } of checks) {
    lines.push(`  ${was ?? 'absent'} -> ${is ?? 'absent'}  ${name}: ${message}`);
  }
  for (const set of new Set(metrics.map(titleOf))) {
    const changed = metrics.filter((each) => titleOf(each) === set && each.difference !== 0);
    if (changed.length === 0) lines.push('', `${set}: all metrics are equal`);
    else lines.push('', ...metricTable(set, changed));
  }
  for (const each of comparison.incomparable) lines.push(`not compared: ${each}`);
  if (tensors.length > 0) {
    const rows = tensors.map(({ name, schemes, sqnrDb }) => [
      name,
      schemes.before === schemes.after ? schemes.after : `${schemes.before} -> ${schemes.after}`,
      `${decibels(sqnrDb.before)} -> ${decibels(sqnrDb.after)}`,
    ]);
    const rest = comparison.changedTensors - tensors.length;
    lines.push('', ...table(['weights that changed', 'scheme', 'SQNR'], rows));
    if (rest > 0) lines.push(`and ${rest} more`);
  }
  const sizes = comparison.sizes.map((each) => [each.name, ...sizeCells(each)]);
  const { before: was, after: is } = comparison.bitsPerWeight;
  if (was !== null || is !== null) {
    const difference = was === null || is === null ? '' : signed(is - was);
    sizes.push(['bits per weight', was?.toFixed(3) ?? '', is?.toFixed(3) ?? '', difference]);
  }
  if (sizes.length > 0) lines.push('', ...table(['size', 'before', 'after', 'difference'], sizes));
  return printableLines(lines);
}

const titleOf = ({ set, referee }: MetricChange): string => `${set} against ${referee}`;

function metricTable(title: string, changes: MetricChange[]): string[] {
  const rows = changes.map(({ id, before, after, difference, isWithin, isWorse }) => [
    id,
    short(before),
    short(after),
    signed(difference),
    isWithin === null ? '' : isWithin ? 'within the intervals' : isWorse ? 'worse' : 'better',
  ]);
  return table([title, 'before', 'after', 'difference', '95 %'], rows);
}

function sizeCells({ before, after }: SizeChange): string[] {
  const bytes = (value: number | null) => (value === null ? '' : formatBytes(value));
  if (before === null || after === null) return [bytes(before), bytes(after), ''];
  const difference = after - before;
  const percent = before === 0 ? '' : ` (${signed(Number(((100 * difference) / before).toFixed(1)))} %)`;
  return [
    bytes(before),
    bytes(after),
    difference === 0 ? '' : `${difference < 0 ? '-' : '+'}${formatBytes(Math.abs(difference))}${percent}`,
  ];
}
