import type { TensorError, VerifyReport } from '../../core/verify-report.js';
import { digits } from '../numbers.js';
import { type HeatCell, heatMap } from '../page/heat-map.js';
import { type Content, html, type Markup } from '../page/markup.js';
import { type Cell, table } from '../page/table.js';
import { count } from './marks.js';

/** Above its floor a weight rounded to nearest has 9 dB and more; searched grids have less. */
const COMFORTABLE_DB = 10;
const LISTED = 15;

/** Weights by layer: SQNR in figures, distance from the scheme's floor in colour; the closest ones as a table. */
export function weightErrors({ tensors, localisation }: VerifyReport): Markup {
  const rounded = tensors.filter(({ sqnrDb, verdict }) => sqnrDb !== null || verdict !== 'pass');
  const exact = tensors.length - rounded.length;
  const layered = rounded.filter(({ layer }) => layer !== null);
  const worst = [...rounded].sort((a, b) => rank(a) - rank(b));
  const named = new Set(localisation?.worstTensors ?? []);
  const listed = worst.filter((tensor, index) => index < LISTED || named.has(tensor.name) || tensor.verdict === 'fail');
  return html`${layered.length > 0 && html`<figure><figcaption>Signal to quantization noise in dB; the colour is the distance from the least that the scheme may give on these very numbers. Of experts, the worst one.</figcaption>${map(layered)}</figure>`}
${listed.length > 0 && worstTable(listed, rounded.length)}
${exact > 0 && html`<p class="dim small">${count(exact, 'weight')} ${exact === 1 ? 'is' : 'are'} exactly the checkpoint's${rounded.length > 0 ? ' and not shown' : ''}.</p>`}`;
}

/** dB above the floor; what failed counts as below it. */
function margin({ sqnrDb, floorDb, verdict }: TensorError): number {
  const above = (sqnrDb ?? Number.POSITIVE_INFINITY) - (floorDb ?? 0);
  return verdict === 'fail' ? Math.min(above, 0) : above;
}

const rank = (tensor: TensorError): number =>
  Number.isNaN(margin(tensor)) ? Number.NEGATIVE_INFINITY : margin(tensor);

/** `model.layers.3.mlp.experts.7.up_proj.weight` as `mlp.experts.*.up_proj`. */
function kindOf(name: string): string {
  const inLayer = name.replace(/^.*?(?:layers|h|blocks)\.\d+\./, '').replace(/\.weight$/, '');
  return inLayer.replace(/\.\d+(?=\.|$)/g, '.*');
}

function map(tensors: readonly TensorError[]): Content {
  const kinds = [...new Set(tensors.map(({ name }) => kindOf(name)))];
  const last = Math.max(...tensors.map(({ layer }) => layer ?? 0));
  const cells = new Map<string, TensorError[]>();
  for (const tensor of tensors) {
    const key = `${tensor.layer} ${kindOf(tensor.name)}`;
    cells.set(key, [...(cells.get(key) ?? []), tensor]);
  }
  return heatMap({
    title: 'Signal to quantization noise of each weight by layer; the table below has the closest ones.',
    rows: kinds.map(shortened),
    columns: Array.from({ length: last + 1 }, (_, layer) => String(layer)),
    columnTitle: 'layer',
    cell: (row, column) => heatCell(cells.get(`${column} ${kinds[row]}`)),
    worst: 0,
    best: COMFORTABLE_DB,
    format: (value) => `${digits(value, 2)}`,
    unlimited: 'exact',
  });
}

/** Names of any length are possible; the column of the table below has them whole. */
const shortened = (name: string): string => (name.length > 44 ? `…${name.slice(-43)}` : name);

function heatCell(tensors: TensorError[] | undefined): HeatCell | null {
  if (!tensors) return null;
  const worst = tensors.reduce((a, b) => (rank(b) < rank(a) ? b : a));
  const { name, scheme, sqnrDb, floorDb, verdict } = worst;
  const failed = tensors.filter((each) => each.verdict === 'fail').length;
  const among = tensors.length > 1 ? ` (worst of ${tensors.length}${failed > 0 ? `, ${failed} failed` : ''})` : '';
  const sqnr = sqnrDb === null ? 'exact' : `${digits(sqnrDb)} dB`;
  return {
    value: rank(worst),
    text: `${verdict === 'fail' ? '✗' : ''}${sqnrDb === null ? '=' : sqnrDb.toFixed(1)}`,
    title: `${name}${among}: ${sqnr}, ${scheme}, floor ${floorDb === null ? 'none' : `${digits(floorDb)} dB`}`,
  };
}

function worstTable(tensors: readonly TensorError[], all: number): Markup {
  const rows = tensors.map((tensor): Cell[] => {
    const { name, scheme, shape, sqnrDb, floorDb, cosine, maxAbsDifference, worstGroupSteps, verdict } = tensor;
    return [
      html`<span class="mono">${name}</span><small>${shape.join(' x ')}</small>`,
      { content: scheme, tone: 'left' },
      { content: sqnrDb === null ? 'exact' : sqnrDb.toFixed(2), tone: verdict === 'fail' ? 'bad' : '' },
      floorDb === null ? '' : floorDb.toFixed(2),
      digits(cosine, 5),
      digits(maxAbsDifference, 3),
      worstGroupSteps === null ? '' : digits(worstGroupSteps, 3),
    ];
  });
  const head = [
    'weight',
    html`<span class="left">scheme</span>`,
    'SQNR, dB',
    'floor, dB',
    'cosine',
    'greatest difference',
    'worst group, steps',
  ];
  const title =
    tensors.length < all
      ? `The ${tensors.length} closest to their floors, of ${all}`
      : `All ${all}, closest to their floors first`;
  return html`<details${tensors.some(({ verdict }) => verdict === 'fail') ? html` open` : html``}><summary>${title}</summary>${table(head, rows)}</details>`;
}
