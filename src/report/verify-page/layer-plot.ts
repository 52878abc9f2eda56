import type { LayerError, VerifyReport } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { html, type Markup } from '../page/markup.js';
import { gridLines, linearScale, logScale } from './axis.js';

const WIDTH = 1108;
const HEIGHT = 260;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 16, 14, 44];
/** Greatest over least error from which powers of ten are drawn. */
const WIDE_RANGE = 30;

/** Relative error of the hidden states after each layer, with the layer where a fault was found. */
export function layerPlot({ layers, layersOf, localisation }: VerifyReport): Markup {
  const errors = layers.map(({ relativeError }) => relativeError).filter((each) => each > 0 && Number.isFinite(each));
  const [min, max] = [Math.min(...errors), Math.max(...errors)];
  const height = HEIGHT - TOP - BOTTOM;
  const isWide = errors.length > 0 && max / min > WIDE_RANGE;
  const scale = isWide ? logScale(min, max, TOP, height) : linearScale(errors.length > 0 ? max : 1, TOP, height);
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, layers.length);
  const x = (index: number) => Math.round(10 * (LEFT + (index + 0.5) * step)) / 10;
  const y = ({ relativeError }: LayerError) =>
    Number.isNaN(relativeError) ? TOP : scale.y(Math.min(relativeError, Number.MAX_VALUE));
  const labelEvery = Math.ceil(34 / step);
  // States are counted from the embedding, layers from the first one after it.
  const first = localisation?.firstLayer ?? null;
  const marked = first === null ? -1 : layers.findIndex(({ index }) => index === first + 1);
  const points = layers.map((layer, index) => `${x(index)},${y(layer)}`).join(' ');
  return html`<figure><figcaption>${layersOf}, root mean square of the error over that of the hidden states</figcaption>
<div class="wide"><svg role="img" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-label="Relative error after each layer: ${layers.map(({ name, relativeError }) => `${name} ${percent(relativeError)}`).join(', ')}">
${marked >= 0 && html`<rect class="band" x="${x(marked) - step / 2}" y="${TOP}" width="${step}" height="${height}"/>`}
${gridLines(scale, LEFT, WIDTH - RIGHT, (value) => percent(value))}
<polyline class="line" points="${points}"/>
${layers.map((layer, index) => dot(layer, x(index), y(layer), index === marked))}
${layers.map(
  ({ index }, at) =>
    at % labelEvery === 0 &&
    html`<text class="dim" x="${x(at)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${index === 0 ? 'emb' : index - 1}</text>`,
)}
<text class="dim" x="${LEFT + (WIDTH - LEFT - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">after layer${isWide ? ' (error in powers of ten)' : ''}</text>
</svg></div></figure>`;
}

const dot = (
  { name, relativeError, cosine, maxAbsDifference }: LayerError,
  x: number,
  y: number,
  marked: boolean,
): Markup =>
  html`<circle class="dot ${marked && 'bad'}" cx="${x}" cy="${y}" r="${marked ? 5.5 : 4}"><title>${name}: error ${percent(relativeError)}, cosine ${cosine.toFixed(6)}, greatest difference ${digits(maxAbsDifference)}</title></circle>\n`;
