import { formatBytes } from '../core/bytes.js';
import type { QuantizeReport, TensorReport, TotalReport, WeightHistogram } from '../core/quantize-report.js';
import { heatMap } from './page/heat-map.js';
import { histogram } from './page/histogram.js';
import { type Content, html, type Markup } from './page/markup.js';
import { type Figure, page, type Section } from './page/page.js';
import { type Cell, table } from './page/table.js';
import { cosineText, decibels, gateText, maxErrorText, percent, quantizedOf, worstFirst } from './quantize-figures.js';

const LISTED = 40;
/** Rows of the table of all tensors: beyond that only the JSON has them. */
const MOST_LISTED = 2000;

/** A report as one HTML page that needs neither network nor scripts. */
export function quantizeHtml(report: QuantizeReport): string {
  const sections = [
    gateSection(report),
    mapSection(report),
    histogramSection(report),
    totalSection(report),
    tensorSection(report),
    reproduceSection(report),
  ];
  return page({
    title: `${report.model} as ${report.layout}`,
    lead: html`<p class="dim">What rounding took from the weights, measured while they were written.</p>`,
    figures: figuresOf(report),
    sections: sections.filter((section) => section !== undefined),
    foot: html`${report.tool.name} ${report.tool.version}. Definitions: docs/quantize-report.md.`,
  });
}

function figuresOf(report: QuantizeReport): Figure[] {
  const { total, gates, verdict } = report;
  const [worst] = worstFirst(quantizedOf(report).filter(({ exact }) => !exact));
  const kept = report.tensors.filter(({ fate }) => fate === 'keeps').length;
  return [
    { value: total.exact ? 'exact' : `${decibels(total)} dB`, label: `SQNR of ${total.tensors} rounded tensors` },
    ...(worst ? [{ value: `${decibels(worst)} dB`, label: `worst: ${worst.module}`, title: worst.name }] : []),
    { value: `${report.bitsPerWeight.toFixed(2)}`, label: 'bits per weight, all tensors' },
    { value: formatBytes(report.weightBytes), label: `from ${formatBytes(report.sourceBytes)}` },
    { value: `${percent(total.zeroed, total.weights)} %`, label: 'of rounded weights became 0' },
    ...(kept > 0 ? [{ value: String(kept), label: 'tensors kept their codes exactly', tone: 'good' as const }] : []),
    ...(gates.length > 0
      ? [
          {
            value: verdict,
            label: `${gates.length} gate${gates.length > 1 ? 's' : ''}`,
            tone: verdict === 'pass' ? ('good' as const) : ('bad' as const),
          },
        ]
      : []),
  ];
}

function gateSection({ gates }: QuantizeReport): Section | undefined {
  if (gates.length === 0) return undefined;
  const badge = (verdict: string) => html`<span class="badge ${verdict === 'pass' ? 'good' : 'bad'}">${verdict}</span>`;
  return {
    title: 'Gates',
    body: gates.map((gate) => html`<p>${badge(gate.verdict)} <span class="mono">${gateText(gate)}</span></p>`),
  };
}

/** Layers by modules; where several tensors share a cell, as experts do, it shows the worst of them. */
function mapSection(report: QuantizeReport): Section | undefined {
  const shown = quantizedOf(report);
  const values = shown.filter(({ exact, sqnrDb }) => !exact && sqnrDb !== null).map(({ sqnrDb }) => sqnrDb as number);
  if (values.length === 0) return undefined;
  const cells = new Map<string, TensorReport[]>();
  for (const tensor of shown) {
    const key = `${tensor.layer ?? ''} ${tensor.module}`;
    cells.set(key, [...(cells.get(key) ?? []), tensor]);
  }
  const inLayers = shown.filter(({ layer }) => layer !== null);
  const layers = [...new Set(inLayers.map(({ layer }) => layer as number))].sort((a, b) => a - b);
  const modules = [...new Set(inLayers.map(({ module }) => module))];
  const others = [...new Set(shown.filter(({ layer }) => layer === null).map(({ module }) => module))];
  const [worst, best] = scaleOf(values);
  const draw = (rows: string[], columns: (number | null)[], columnTitle: string) =>
    heatMap({
      rows,
      columns: columns.map((layer) => String(layer ?? '')),
      columnTitle,
      worst,
      best,
      format: (value) => value.toFixed(1),
      unlimited: shown.some(({ exact }) => exact) ? 'exact' : undefined,
      cell(row, column) {
        const all = worstFirst(cells.get(`${columns[column] ?? ''} ${rows[row]}`) ?? []);
        if (all.length === 0) return null;
        const value = all[0].exact ? Number.POSITIVE_INFINITY : (all[0].sqnrDb ?? Number.NaN);
        return { value, text: all[0].exact ? '' : decibels(all[0]), title: cellTitle(all) };
      },
    });
  return {
    title: 'SQNR by layer and module',
    lead: 'Signal-to-quantization-noise ratio in dB; the stronger the colour, the more was lost. Where several tensors share a place, as experts do, it shows the worst.',
    body: [
      layers.length > 0 && draw(modules, layers, 'layer'),
      others.length > 0 && html`<p></p>${draw(others, [null], '')}`,
    ],
  };
}

function cellTitle(all: readonly TensorReport[]): string {
  const [worst] = all;
  const lines = [
    worst.name,
    `${worst.scheme}, [${worst.shape.join(', ')}]`,
    `SQNR ${decibels(worst)}${worst.exact ? '' : ' dB'}, greatest error ${maxErrorText(worst)}`,
    `${percent(worst.zeroed, worst.weights)} % became 0, ${percent(worst.outliers, worst.weights)} % are outliers`,
  ];
  if (all.length > 1) lines.push(`the worst of ${all.length}`);
  return lines.join('\n');
}

/** Ends of the colours: the worst, and what all but a twentieth stay below; 3 dB apart at least, so that noise is pale. */
function scaleOf(values: readonly number[]): [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const best = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))];
  return [Math.min(sorted[0], best - 3), best];
}

function histogramSection({ histograms, tensors }: QuantizeReport): Section | undefined {
  if (histograms.length === 0) return undefined;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    title: 'Weights of the worst tensors',
    lead: html`How often a weight has which size, in root mean squares of its row, on rows evenly apart; heights go with
the square root of the count. <span class="key before"></span>before <span class="key after"></span>after: a peak at 0
beside a gap is what became 0, thin tails cut off are what saturated.`,
    body: html`<div class="grid">${histograms.map((each) => histogramPanel(each, byName.get(each.tensor)))}</div>`,
  };
}

function histogramPanel({ tensor, stride, before, after }: WeightHistogram, figures?: TensorReport): Markup {
  const rows = stride === 1 ? 'every row' : `one row in ${stride}`;
  return html`<figure class="panel"><h3 class="mono">${tensor}</h3>
${
  figures &&
  html`<p class="dim small">${figures.scheme}: ${decibels(figures)} dB, ${percent(figures.zeroed, figures.weights)} % became 0,
${percent(figures.saturated, figures.weights)} % saturated, ${percent(figures.outliers, figures.weights)} % outliers</p>`
}
${histogram({
  // the bins of both ends hold all beyond
  from: -6.1875,
  to: 6.1875,
  before,
  after,
  ticks: [-6, -4, -2, 0, 2, 4, 6],
  axis: `weight / root mean square of its row, ${rows}`,
  title: `${tensor} before and after`,
})}</figure>\n`;
}

const HEAD: Content[] = ['SQNR dB', 'cosine', 'max error', 'saturated %', 'zeroed %', 'outliers %', 'bits'];

const figureCells = (each: TensorReport | TotalReport): Cell[] => [
  each.exact ? { content: 'exact', tone: 'good' } : decibels(each),
  cosineText(each),
  maxErrorText(each),
  percent(each.saturated, each.weights),
  percent(each.zeroed, each.weights),
  percent(each.outliers, each.weights),
  each.bitsPerWeight.toFixed(2),
];

function totalSection({ schemes, total }: QuantizeReport): Section | undefined {
  if (total.tensors === 0) return undefined;
  const rows = schemes.map((each): Cell[] => [each.scheme, each.tensors, ...figureCells(each)]);
  if (schemes.length > 1) rows.push([html`<b>together</b>`, total.tensors, ...figureCells(total)]);
  return {
    title: 'Totals of what was rounded',
    body: table(['scheme', 'tensors', ...HEAD], rows),
  };
}

function tensorSection(report: QuantizeReport): Section | undefined {
  const failed = new Set(report.gates.flatMap((gate) => gate.failed.map(({ name }) => name)));
  const tensors = worstFirst(quantizedOf(report));
  if (tensors.length === 0) return undefined;
  const row = (tensor: TensorReport): Cell[] => [
    { content: tensor.name, tone: failed.has(tensor.name) ? 'mono text bad' : 'mono text' },
    { content: tensor.scheme, tone: 'text' },
    tensor.shape.join('×'),
    ...figureCells(tensor),
  ];
  const head = ['tensor', 'scheme', 'shape', ...HEAD];
  const [first, rest] = [tensors.slice(0, LISTED), tensors.slice(LISTED, MOST_LISTED)];
  const left = tensors.length - first.length - rest.length;
  return {
    title: 'Tensors, worst first',
    body: [
      table(head, first.map(row)),
      rest.length > 0 && html`<details><summary>${rest.length} more</summary>${table(head, rest.map(row))}</details>`,
      left > 0 && html`<p class="dim small">The other ${left} are in the JSON report.</p>`,
    ],
  };
}

function reproduceSection({ reproduce }: QuantizeReport): Section {
  return { title: 'To make this again', body: html`<pre>${reproduce}</pre>` };
}
