import { html, type Markup } from '../page/markup.js';

/** Maps values to pixels from the top; ticks are values worth a line. */
export interface Scale {
  y(value: number): number;
  ticks: number[];
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** 1, 2 or 5 times a power of ten: the step that gives at most `most` ticks up to `max`. */
function stepFor(max: number, most: number): number {
  const rough = max / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return (([1, 2, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) as number) ?? 10) * power;
}

/** Linear from 0 to a round number at or above `max`, over `height` pixels. */
export function linearScale(max: number, top: number, height: number): Scale {
  const highest = max > 0 ? max : 1;
  const step = stepFor(highest, 5);
  const end = step * Math.ceil((highest / step) * (1 - 1e-9));
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
  return { y: (value) => round(top + height - (Math.min(Math.max(value, 0), end) / end) * height), ticks };
}

/** By powers of ten around [min, max]; what is at or below the least tick lies on it. */
export function logScale(min: number, max: number, top: number, height: number): Scale {
  const [low, high] = [
    Math.floor(Math.log10(min)),
    Math.max(Math.floor(Math.log10(min)) + 1, Math.ceil(Math.log10(max))),
  ];
  const every = Math.ceil((high - low) / 6);
  const ticks: number[] = [];
  for (let power = low; power <= high; power += every) ticks.push(Number(`1e${power}`));
  const y = (value: number) => {
    const share = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
    return round(top + height - Math.min(1, share) * height);
  };
  return { y, ticks };
}

/** Lines across the plot with their values at the left. */
export const gridLines = (
  { y, ticks }: Scale,
  left: number,
  right: number,
  format: (value: number) => string,
): Markup =>
  html`${ticks.map(
    (tick) => html`<line class="grid-line" x1="${left}" y1="${y(tick)}" x2="${right}" y2="${y(tick)}"/>
<text class="dim" x="${left - 6}" y="${y(tick) + 4}" text-anchor="end">${format(tick)}</text>\n`,
  )}`;
