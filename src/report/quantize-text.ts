import { printableLines } from '../core/printable.js';
import type { QuantizeReport, TensorReport, TotalReport } from '../core/quantize-report.js';
import { cosineText, decibels, gateText, maxErrorText, percent, quantizedOf, worstFirst } from './quantize-figures.js';
import { table } from './table.js';

const SHOWN = 10;
const HEAD = ['SQNR dB', 'cosine', 'max error', 'saturated %', 'zeroed %', 'outliers %', 'bits'];

const figures = (each: TensorReport | TotalReport): string[] => [
  decibels(each),
  cosineText(each),
  maxErrorText(each),
  percent(each.saturated, each.weights),
  percent(each.zeroed, each.weights),
  percent(each.outliers, each.weights),
  each.bitsPerWeight.toFixed(2),
];

/** What rounding took, for a terminal: the worst tensors, then the totals, then the gates. */
export function quantizeText(report: QuantizeReport): string {
  const { schemes, total, gates } = report;
  const rounded = worstFirst(quantizedOf(report).filter(({ exact }) => !exact));
  const lines: string[] = [];
  if (rounded.length > 0) {
    const worst = rounded.slice(0, SHOWN).map((tensor) => [tensor.name, ...figures(tensor)]);
    const title = rounded.length > SHOWN ? `the worst ${SHOWN} of ${rounded.length}` : 'tensors';
    lines.push(...table([title, ...HEAD], worst));
    const totals = schemes.map((each) => [`${each.tensors} x ${each.scheme}`, ...figures(each)]);
    if (schemes.length > 1) totals.push([`${total.tensors} together`, ...figures(total)]);
    lines.push(...table(['total', ...HEAD], totals));
  } else {
    lines.push('every tensor kept its values exactly');
  }
  for (const gate of gates) lines.push(`${gate.verdict === 'pass' ? 'pass' : 'FAIL'}  ${gateText(gate)}`);
  return printableLines(lines);
}
