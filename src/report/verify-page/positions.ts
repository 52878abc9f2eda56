import type { Comparison, VerifyReport } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { type Content, html, type Markup } from '../page/markup.js';
import { gridLines, logScale } from './axis.js';
import { oneForEachSet } from './sets.js';

const WIDTH = 1108;
const HEIGHT = 170;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 12, 12, 34];
/** Nats below which a divergence is drawn as nothing. */
const LEAST = 1e-5;

/** KL divergence at every position of each set. */
export const positionPlots = ({ comparisons }: VerifyReport): Content => oneForEachSet(comparisons).map(plot);

function plot({ set, referee, kl, lengths, tokens, sequences, metrics, differing }: Comparison): Markup {
  const finite = kl.filter((each) => Number.isFinite(each));
  const highest = Math.max(1e-2, ...spread(finite));
  const scale = logScale(LEAST, highest, TOP, HEIGHT - TOP - BOTTOM);
  const room = WIDTH - LEFT - RIGHT;
  const bars = Math.min(kl.length, room / 2);
  const width = room / Math.max(1, bars);
  const base = HEIGHT - BOTTOM;
  const mean = metrics.find(({ id }) => id === 'kl_divergence')?.value ?? Number.NaN;
  const place = (position: number) => LEFT + (position / Math.max(1, kl.length)) * room;
  const draw = Array.from({ length: Math.floor(bars) }, (_, bar) => {
    const [from, to] = [Math.floor((bar * kl.length) / bars), Math.max(1, Math.floor(((bar + 1) * kl.length) / bars))];
    const group = kl.slice(from, to);
    const value = group.some((each) => !Number.isFinite(each)) ? Number.POSITIVE_INFINITY : Math.max(...group);
    const y = value === Number.POSITIVE_INFINITY ? TOP : scale.y(value);
    return `M${fixed(LEFT + (bar + 0.5) * width)},${base}V${y}`;
  });
  const borders = lengths.slice(0, -1).map((_, index) => lengths.slice(0, index + 1).reduce((a, b) => a + b, 0));
  const isOpen = borders.length > 0 && room / borders.length >= 8;
  const others = differing ?? [];
  const agreement =
    kl.length > 0 && differing
      ? `; the most likely token differs at ${others.length} (${percent(others.length / kl.length)})`
      : '';
  return html`<figure><figcaption><b>${set}</b> against ${referee}: ${tokens} positions in ${sequences} sequence${sequences === 1 ? '' : 's'}${agreement}</figcaption>
<div class="wide"><svg role="img" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-label="KL divergence at ${tokens} positions of ${set}: mean ${digits(mean, 3)}, greatest ${digits(highest, 3)} nats">
${gridLines(scale, LEFT, WIDTH - RIGHT, (value) => digits(value))}
${isOpen && html`<path class="border" d="${borders.map((at) => `M${fixed(place(at))},${TOP}V${base}`).join('')}"/>`}
<path class="bars" stroke="var(--after)" stroke-width="${fixed(Math.max(1, Math.min(6, width * 0.7)))}" d="${draw.join('')}"/>
${others.slice(0, 2000).map((at) => html`<circle class="dot bad" cx="${fixed(place(at + 0.5))}" cy="${base + 6}" r="2"/>`)}
${mean > LEAST && html`<line class="rule" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${scale.y(mean)}" y2="${scale.y(mean)}"><title>mean ${digits(mean, 3)}</title></line>`}
<text class="dim" x="${LEFT}" y="${HEIGHT - 8}">0</text>
<text class="dim" x="${LEFT + room / 2}" y="${HEIGHT - 8}" text-anchor="middle">position; red: another most likely token; dashed: mean ${digits(mean, 3)} nats</text>
<text class="dim" x="${WIDTH - RIGHT}" y="${HEIGHT - 8}" text-anchor="end">${kl.length}</text>
</svg></div></figure>\n`;
}

const fixed = (value: number): string => String(Math.round(value * 10) / 10);

/** The greatest of many values: `Math.max` takes no more arguments than the stack holds. */
function spread(values: readonly number[]): number[] {
  return [values.reduce((a, b) => Math.max(a, b), 0)];
}
