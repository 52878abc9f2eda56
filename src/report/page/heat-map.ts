import { html, type Markup } from './markup.js';

/** A coloured cell: its number, what is printed in it where there is room, and what a pointer on it tells. */
export interface HeatCell {
  /** Infinity, where nothing is lost at all, has a colour of its own; NaN counts as worst. */
  value: number;
  text: string;
  title: string;
}

export interface HeatMap {
  rows: readonly string[];
  columns: readonly string[];
  /** What it shows, for screen readers. */
  title?: string | undefined;
  /** What columns are, as `layer`. */
  columnTitle: string;
  /** null where there is no such thing. */
  cell(row: number, column: number): HeatCell | null;
  /** The values of the first and last colour, in either order; what lies beyond gets the colour of the end. */
  worst: number;
  best: number;
  /** A value as the legend prints it. */
  format(value: number): string;
  /** What a value of Infinity is called in the legend, as `exact`; left out where there is none. */
  unlimited?: string | undefined;
}

const STEPS = 9;
const ROW_HEIGHT = 22;
const HEAD = 34;
/** Width of a letter of the labels, a little too much for most fonts. */
const LETTER = 6.4;
const WIDTH = 1188;

/** Step 0 (worst) to 8 (best) of a value. */
export function heatStep(value: number, worst: number, best: number): number {
  const share = best === worst ? 1 : (value - worst) / (best - worst);
  return Number.isNaN(share) ? 0 : Math.min(STEPS - 1, Math.max(0, Math.floor(share * STEPS)));
}

/** A heat map of rows by columns with a legend, as SVG. */
export function heatMap(map: HeatMap): Markup {
  const { rows, columns, worst, best } = map;
  const left = 12 + Math.ceil(LETTER * Math.max(4, ...rows.map(({ length }) => length)));
  const cells = rows.map((_, row) => columns.map((_, column) => map.cell(row, column)));
  const longest = Math.max(1, ...cells.flat().map((cell) => cell?.text.length ?? 0));
  const room = (WIDTH - left - 8) / Math.max(1, columns.length);
  const cellWidth = Math.max(9, Math.min(64, Math.floor(room)));
  const hasText = cellWidth >= longest * LETTER + 4;
  const labelEvery = Math.ceil((LETTER * Math.max(1, ...columns.map(({ length }) => length)) + 4) / cellWidth);
  const bottom = HEAD + rows.length * ROW_HEIGHT;
  const width = Math.max(WIDTH, left + columns.length * cellWidth + 8);
  const x = (column: number) => left + column * cellWidth;
  const y = (row: number) => HEAD + row * ROW_HEIGHT;

  const drawCell = (cell: HeatCell | null, row: number, column: number): Markup => {
    const place = html`x="${x(column)}" y="${y(row)}" width="${cellWidth - 1}" height="${ROW_HEIGHT - 1}"`;
    if (!cell) return html`<rect class="empty" ${place} opacity="0.5"/>`;
    const step = heatStep(cell.value, worst, best);
    const isUnlimited = cell.value === Number.POSITIVE_INFINITY && map.unlimited !== undefined;
    const kind = isUnlimited ? 'exact' : `h${step}`;
    const middle = x(column) + (cellWidth - 1) / 2;
    return html`<rect class="cell ${kind}" ${place}><title>${cell.title}</title></rect>${
      hasText &&
      html`<text class="${isUnlimited ? '' : `t${step}`}" x="${middle}" y="${y(row) + 15}" text-anchor="middle" pointer-events="none">${cell.text}</text>`
    }`;
  };

  return html`<div class="wide"><svg role="img" width="${width}" height="${bottom + 52}" viewBox="0 0 ${width} ${bottom + 52}" aria-label="${map.title}">
<text class="dim" x="${left}" y="14">${map.columnTitle}</text>
${columns.map(
  (name, column) =>
    column % labelEvery === 0 &&
    html`<text class="dim" x="${x(column) + (cellWidth - 1) / 2}" y="28" text-anchor="middle">${name}</text>`,
)}
${rows.map(
  (name, row) => html`<text x="${left - 8}" y="${y(row) + 15}" text-anchor="end">${name}</text>
${columns.map((_, column) => drawCell(cells[row][column], row, column))}\n`,
)}
${legend(map, left, bottom + 14)}
</svg></div>`;
}

function legend({ worst, best, format, unlimited }: HeatMap, left: number, top: number): Markup {
  const steps = Array.from({ length: STEPS }, (_, step) => step);
  const width = 46;
  const label = (step: number) => format(worst + ((best - worst) * step) / STEPS);
  return html`${steps.map(
    (step) =>
      html`<rect class="h${step}" x="${left + step * width}" y="${top}" width="${width - 1}" height="10"/>
<text class="dim" x="${left + step * width}" y="${top + 24}" text-anchor="middle">${label(step)}</text>`,
  )}
<text class="dim" x="${left + STEPS * width}" y="${top + 24}" text-anchor="middle">${format(best)}</text>
${
  unlimited !== undefined &&
  html`<rect class="exact" x="${left + (STEPS + 1) * width}" y="${top}" width="${width - 1}" height="10"/>
<text class="dim" x="${left + (STEPS + 1) * width}" y="${top + 24}">${unlimited}</text>`
}`;
}
