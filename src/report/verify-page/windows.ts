import type { VerifyReport, WindowError } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { html, type Markup } from '../page/markup.js';
import { gridLines, linearScale } from './axis.js';

const WIDTH = 1108;
const HEIGHT = 180;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 12, 12, 34];

/** The error of every prompt window of a pipeline, as bars. */
export function windowPlot({ windows = [] }: VerifyReport): Markup {
  const finite = windows.map(({ relativeError }) => relativeError).filter((each) => Number.isFinite(each));
  const scale = linearScale(Math.max(...finite, 1e-6), TOP, HEIGHT - TOP - BOTTOM);
  const base = HEIGHT - BOTTOM;
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, windows.length);
  const bar = (window: WindowError, index: number) => {
    const { set, sequence, from, tokens, relativeError, maxAbsDifference } = window;
    const y = Number.isFinite(relativeError) ? scale.y(relativeError) : TOP;
    const title = `${set}, sequence ${sequence}, window ${window.index}, positions ${from} to ${from + tokens - 1}: error ${percent(relativeError)}, greatest difference ${digits(maxAbsDifference, 3)}`;
    const x = Math.round(10 * (LEFT + index * step)) / 10;
    const width = Math.max(1, Math.min(40, Math.round(10 * step * 0.8) / 10));
    return html`<rect class="bar" x="${x}" y="${y}" width="${width}" height="${Math.max(1, Math.round(10 * (base - y)) / 10)}"><title>${title}</title></rect>\n`;
  };
  return html`<div class="wide"><svg role="img" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-label="Relative error of ${windows.length} prompt windows, at most ${percent(Math.max(...finite, 0))}">
${gridLines(scale, LEFT, WIDTH - RIGHT, (value) => percent(value))}
${windows.map(bar)}
<text class="dim" x="${LEFT + (WIDTH - LEFT - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${windows.length} windows, set by set</text>
</svg></div>`;
}
