import { html, type Markup } from './markup.js';

/** Counts over equal bins; the first is drawn as bars, the second as an outline over them. */
export interface Histogram {
  /** Lower end of the first bin and upper end of the last. */
  from: number;
  to: number;
  before: readonly number[];
  after?: readonly number[];
  /** Places on the axis that are labelled. */
  ticks: readonly number[];
  /** What the axis shows. */
  axis: string;
  /** For screen readers and pointers. */
  title: string;
}

const WIDTH = 320;
const HEIGHT = 150;
const BASE = 116;

/** A histogram as SVG. Heights go with the square root of counts, so that tails can be seen beside the middle. */
export function histogram({ from, to, before, after, ticks, axis, title }: Histogram): Markup {
  const highest = Math.sqrt(Math.max(1, ...before, ...(after ?? [])));
  const x = (value: number) => round(((value - from) / (to - from)) * WIDTH);
  const y = (count: number) => round(BASE - (Math.sqrt(count) / highest) * (BASE - 6));
  const width = WIDTH / before.length;
  const bars = before.map(
    (count, bin) =>
      count > 0 &&
      html`<rect class="before" x="${round(bin * width)}" y="${y(count)}" width="${round(Math.max(0.5, width - 0.4))}" height="${round(BASE - y(count))}"/>`,
  );
  const outline = after?.map(
    (count, bin) => `L${round(bin * width)},${y(count)} L${round((bin + 1) * width)},${y(count)}`,
  );
  return html`<svg role="img" width="100%" viewBox="0 0 ${WIDTH} ${HEIGHT}"><title>${title}</title>
${bars}
${outline && html`<path class="after" d="M0,${BASE} ${outline.join(' ')} L${WIDTH},${BASE}"/>`}
<line class="axis" x1="0" y1="${BASE}" x2="${WIDTH}" y2="${BASE}"/>
${ticks.map(
  (tick) => html`<line class="axis" x1="${x(tick)}" y1="${BASE}" x2="${x(tick)}" y2="${BASE + 4}"/>
<text class="dim" x="${x(tick)}" y="${BASE + 16}" text-anchor="${tick <= from ? 'start' : tick >= to ? 'end' : 'middle'}">${tick}</text>`,
)}
<text class="dim" x="${WIDTH / 2}" y="${HEIGHT - 4}" text-anchor="middle">${axis}</text>
</svg>`;
}

const round = (value: number) => Math.round(value * 100) / 100;
