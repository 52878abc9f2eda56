import type { Comparison, MetricValue, VerifyReport } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { type Content, html, type Markup } from '../page/markup.js';
import { type Cell, table } from '../page/table.js';
import { oneForEachSet } from './sets.js';

/** In the order of the table; metrics that are not here follow. */
const NAMES: Record<string, string> = {
  kl_divergence: 'KL divergence, mean',
  kl_divergence_p99: 'KL divergence, 99th percentile',
  kl_divergence_max: 'KL divergence, greatest',
  top1_agreement: 'same most likely token',
  top5_agreement: 'of the five most likely, the same',
  perplexity_ratio: 'perplexity over the reference',
  perplexity: 'perplexity',
  cosine: 'cosine of the logits',
  max_abs_difference: 'greatest difference of a logit',
};

/** Every metric on every token set, with its interval; what further referees of the same sets say is folded. */
export function metricTable({ comparisons }: VerifyReport): Markup {
  const first = oneForEachSet(comparisons);
  const others = comparisons.filter((each) => !first.includes(each));
  return html`${tableOf(first)}${
    others.length > 0 &&
    html`<details><summary>The same sets against other referees</summary>${tableOf(others)}</details>`
  }`;
}

function tableOf(comparisons: readonly Comparison[]): Markup {
  const known = Object.keys(NAMES);
  const found = [...new Set(comparisons.flatMap(({ metrics }) => metrics.map(({ id }) => id)))];
  const ids = [...known.filter((id) => found.includes(id)), ...found.filter((id) => !known.includes(id))];
  const head = comparisons.map(
    ({ set, referee, tokens }) => html`${set}<small>${tokens} tokens, against ${referee}</small>`,
  );
  const rows = ids.map((id): Cell[] => [name(id, comparisons), ...comparisons.map((each) => cell(each, id))]);
  return table(['metric', ...head], rows);
}

function name(id: string, comparisons: readonly Comparison[]): Content {
  const metric = comparisons.flatMap(({ metrics }) => metrics).find((each) => each.id === id);
  const unit = metric && metric.unit !== 'share' && metric.unit !== 'cosine' ? `${metric.unit}, ` : '';
  return html`${NAMES[id] ?? id}<small><code>${id}</code> ${unit}${metric?.better} is better</small>`;
}

function cell({ metrics }: Comparison, id: string): Content {
  const found = metrics.find((each) => each.id === id);
  if (!found) return '';
  const { value, interval } = found;
  return html`${format(found, value)}${interval && html`<small>${format(found, interval.low)} to ${format(found, interval.high)}</small>`}`;
}

const format = ({ unit }: MetricValue, value: number): string =>
  unit === 'share' ? percent(value) : unit === 'cosine' ? value.toFixed(5) : digits(value, 3);

/** Decoding through the cache and greedy continuation. */
export function decoding(report: VerifyReport): Markup {
  const { decode, greedy, perplexity, routingMargin } = report;
  const rows: Cell[][] = decode.map(({ set, tokens, maxAbsDifference, position }) => [
    `one prefill against the cache, ${set}`,
    `${digits(maxAbsDifference, 3)} logits`,
    `${tokens} tokens, greatest at position ${position}`,
  ]);
  if (perplexity) {
    const { text, value, interval, windows, windowTokens, predictions } = perplexity;
    rows.push([
      `perplexity of ${text}`,
      html`${digits(value)}<small>${digits(interval.low)} to ${digits(interval.high)}</small>`,
      `${predictions} predictions in ${windows} windows of ${windowTokens}`,
    ]);
    if (perplexity.reference !== null) rows.push(['of the reference on the same', digits(perplexity.reference), '']);
  }
  if (greedy) {
    const gap = greedy.gap === null ? '' : `; its two best logits are ${digits(greedy.gap, 3)} apart there`;
    const where =
      greedy.firstDivergence === null ? 'all equal' : `first other token: number ${greedy.firstDivergence + 1}${gap}`;
    rows.push(['greedy continuation', `${greedy.equalTokens} of ${greedy.tokens} tokens`, where]);
  }
  if (routingMargin !== null) {
    rows.push([
      'least margin of a routing decision',
      digits(routingMargin, 3),
      'small ones may fall either way by rounding alone',
    ]);
  }
  return html`${table(['', 'measured', ''], rows)}${greedy && continuation(report)}`;
}

/** Both continuations as text, from where they part. */
function continuation({ greedy, tokens }: VerifyReport): Content {
  if (!greedy || greedy.firstDivergence === null) return null;
  const at = greedy.firstDivergence;
  const text = (ids: readonly number[]) => ids.map((id) => tokens?.texts[id] ?? ` #${id}`).join('');
  const line = (title: string, ids: readonly number[]) =>
    html`<dt>${title}</dt><dd class="mono">${text(ids.slice(0, at))}<b>${text(ids.slice(at))}</b></dd>`;
  return html`<dl class="facts">${line('reference', greedy.expected)}${line('package', greedy.actual)}</dl>`;
}
