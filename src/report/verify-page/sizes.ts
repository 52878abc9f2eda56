import { formatBytes } from '../../core/bytes.js';
import type { SchemeSize, VerifyReport } from '../../core/verify-report.js';
import { grouped, percent } from '../numbers.js';
import { html, type Markup } from '../page/markup.js';
import { type Cell, table } from '../page/table.js';

/** Colours of schemes, the last for all others. */
const COLOURS = 5;

/** What the weights take, by scheme, and the files. */
export function sizes({ subject }: VerifyReport): Markup {
  const { sizes: schemes = [], files } = subject;
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const rows = files.map(({ name, size }): Cell[] => [
    html`<span class="mono">${name}</span>`,
    formatBytes(size),
    grouped(size),
  ]);
  rows.push([html`<b>all</b>`, formatBytes(total), grouped(total)]);
  return html`${schemes.length > 0 && bySchemes(schemes)}
${files.length > 0 && html`<details><summary>${files.length} files, ${formatBytes(total)}</summary>${table(['file', 'size', 'bytes'], rows)}</details>`}`;
}

function bySchemes(schemes: readonly SchemeSize[]): Markup {
  const colour = (index: number) => `s${Math.min(index, COLOURS - 1)}`;
  const bytes = schemes.reduce((sum, { nbytes }) => sum + nbytes, 0);
  const parameters = schemes.reduce((sum, each) => sum + each.parameters, 0);
  const weights = schemes.reduce((sum, each) => sum + each.weights, 0);
  const share = (nbytes: number) => (bytes === 0 ? 0 : nbytes / bytes);
  const bits = (nbytes: number, of: number) => (of === 0 ? '' : ((8 * nbytes) / of).toFixed(3));
  const row = ({ scheme, weights, parameters, nbytes }: SchemeSize, index: number): Cell[] => [
    html`<span class="key ${colour(index)}"></span>${scheme}`,
    grouped(weights),
    grouped(parameters),
    formatBytes(nbytes),
    percent(share(nbytes)),
    bits(nbytes, parameters),
  ];
  const sum: Cell[] = [
    html`<b>all</b>`,
    grouped(weights),
    grouped(parameters),
    formatBytes(bytes),
    '',
    bits(bytes, parameters),
  ];
  const rows = [...schemes.map(row), sum];
  const smaller =
    bytes > 0 && parameters > 0 ? `${((2 * parameters) / bytes).toFixed(2)} times smaller than 16 bits a weight` : '';
  return html`<div class="stack" role="img" aria-label="${schemes.map(({ scheme, nbytes }) => `${scheme} ${percent(share(nbytes))}`).join(', ')}">${schemes.map(
    ({ scheme, nbytes }, index) =>
      html`<i class="${colour(index)}" style="width:${Math.round(1000 * share(nbytes)) / 10}%" title="${scheme}: ${formatBytes(nbytes)}"></i>`,
  )}</div>
${table(['scheme', 'weights', 'parameters', 'size', 'share', 'bits per weight'], rows)}
<p class="dim small">${smaller}</p>`;
}
