import type { ErrorFigures } from '../core/error-figures.js';
import type { GateReport, QuantizeReport, TensorReport } from '../core/quantize-report.js';

/** SQNR for people: `exact`, decibels with a decimal, or `?` where there is no number. */
export const decibels = ({ exact, sqnrDb }: ErrorFigures): string =>
  exact ? 'exact' : sqnrDb === null ? '?' : sqnrDb.toFixed(1);

/** A cosine by how far it is from 1. */
export const cosineText = ({ exact, cosine }: ErrorFigures): string =>
  exact ? '1' : cosine === null ? '?' : cosine > 0.9999 ? `1 - ${(1 - cosine).toExponential(1)}` : cosine.toFixed(5);

export const maxErrorText = ({ maxAbsError }: ErrorFigures): string =>
  maxAbsError === null ? '?' : maxAbsError === 0 ? '0' : maxAbsError.toPrecision(3);

/** A count as a share of the weights, in percent: `0` for none, `<0.001` for next to none. */
export function percent(count: number | null, weights: number): string {
  if (count === null) return '-';
  const share = (100 * count) / Math.max(1, weights);
  if (count === 0) return '0';
  return share < 0.001 ? '<0.001' : share < 0.1 ? share.toFixed(3) : share.toFixed(2);
}

/** From worst to best: what has no number first, what lost nothing last. */
export function worstFirst(tensors: readonly TensorReport[]): TensorReport[] {
  const rank = ({ exact, sqnrDb }: TensorReport) => (exact ? Infinity : (sqnrDb ?? -Infinity));
  return tensors
    .map((tensor, index) => ({ tensor, index, rank: rank(tensor) }))
    .sort((a, b) => (a.rank === b.rank ? a.index - b.index : a.rank - b.rank))
    .map(({ tensor }) => tensor);
}

/** Tensors that were rounded and those that kept their codes: what a report is about. */
export const quantizedOf = ({ tensors }: QuantizeReport): TensorReport[] =>
  tensors.filter(({ fate, exact }) => fate !== 'unquantized' || !exact);

/** A gate in a sentence, with the first few that do not hold it. */
export function gateText({ text, verdict, failed }: GateReport): string {
  if (verdict === 'pass') return `${text} holds`;
  const shown = failed.slice(0, 5).map(({ name, value }) => `${name} (${value === null ? '?' : short(value)})`);
  const more = failed.length > shown.length ? ` and ${failed.length - shown.length} more` : '';
  return `${text} does not hold for ${shown.join(', ')}${more}`;
}

const short = (value: number) => String(Number(value.toPrecision(4)));
