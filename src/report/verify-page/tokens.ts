import type { Candidate, Comparison, Disagreement, VerifyReport } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { type Content, html, type Markup } from '../page/markup.js';
import { type Cell, table } from '../page/table.js';
import { oneForEachSet, sequencesOf } from './sets.js';

/** Upper ends, in nats, of all colours but the last. */
const STEPS = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3];
/** Tokens of a set that are shown as text. */
const SHOWN = 1024;
const LISTED = 24;
/** Tokens before the position that are shown with a disagreement. */
const CONTEXT = 12;

type Text = (id: number) => string;

/** Where the two runs say different things: the text coloured by divergence, then the worst positions one by one. */
export function disagreements(report: VerifyReport): Markup {
  const text: Text = (id) => report.tokens?.texts[id] ?? `#${id} `;
  const sets = oneForEachSet(report.comparisons);
  const found = sets
    .flatMap((comparison) => comparison.disagreements.map((each) => ({ each, set: comparison.set })))
    .sort((a, b) => (Number.isNaN(b.each.kl) ? Number.POSITIVE_INFINITY : b.each.kl) - a.each.kl);
  return html`${found.length === 0 ? html`<p>Both prefer the same next token at every position.</p>` : list(report, found, text)}
${sets.some(({ set }) => sequencesOf(report, set)) && scale()}
${sets.map((comparison) => {
  const sequences = sequencesOf(report, comparison.set);
  return sequences && running(comparison, sequences, text);
})}`;
}

function list(report: VerifyReport, found: { each: Disagreement; set: string }[], text: Text): Markup {
  const rows = found
    .slice(0, LISTED)
    .map(({ each, set }): Cell[] => [
      html`${set}<small>sequence ${each.sequence}, position ${each.position}</small>`,
      html`<div class="context">${context(report, each, set, text)}</div>`,
      html`<div class="choices">${each.reference.map((candidate, index) => choice(candidate, index, 'good'))}</div>`,
      html`<div class="choices">${each.actual.map((candidate, index) => choice(candidate, index, 'warn'))}</div>`,
      html`<span class="badge k${stepOf(each.kl)}">${digits(each.kl, 3)}</span>`,
    ]);
  const more = found.length - rows.length;
  return html`${table(['where', html`<span class="left">after</span>`, html`<span class="left">reference says</span>`, html`<span class="left">package says</span>`, 'KL, nats'], rows)}
${more > 0 && html`<p class="dim small">and ${more} more in the JSON report</p>`}`;
}

function context(
  report: VerifyReport,
  { sequence, position, token, next }: Disagreement,
  set: string,
  text: Text,
): Content {
  const ids = sequencesOf(report, set)?.[sequence]?.slice(Math.max(0, position + 1 - CONTEXT), position + 1);
  const before = ids ? ids.map(text).join('') : (token.text ?? `#${token.id} `);
  return html`${position + 1 > CONTEXT && ids && html`<span class="dim">… </span>`}${visible(before)}${next && html`<b>${visible(next.text ?? `#${next.id}`)}</b>`}`;
}

function choice({ id, text, probability }: Candidate, index: number, tone: string): Markup {
  const width = Number.isFinite(probability) ? Math.min(100, Math.max(0, 100 * probability)) : 0;
  return html`<code class="${index === 0 && 'first'}">${text === null ? `#${id}` : quoted(text)}</code><span class="dim small">${percent(probability, 2)}</span><span class="track ${tone}"><i style="width:${digits(width, 3)}%"></i></span>`;
}

/** Breaks and spaces of a token made visible. */
const quoted = (text: string): string => visible(text).replaceAll(' ', '␣').replaceAll('\t', '⇥');
const visible = (text: string): string => text.replace(/\r\n|\r|\n/g, '↵');

const stepOf = (kl: number): number => {
  const step = STEPS.findIndex((end) => kl < end);
  return step < 0 ? STEPS.length : step;
};

function scale(): Markup {
  const label = (index: number) =>
    index === 0
      ? `KL below ${STEPS[0]}`
      : index === STEPS.length
        ? `${STEPS[index - 1]} and more`
        : `from ${STEPS[index - 1]}`;
  return html`<h3>In the text</h3><p class="dim">Each token has the colour of the divergence with which the two predicted it; underlined: the two preferred different tokens there. A pointer on a token shows the numbers.</p>
<div class="scale">${[...STEPS, 0].map((_, index) => html`<span class="k${index}">${label(index)}</span>`)}<span class="tokens-key">underlined: another most likely token</span></div>`;
}

/** The sequences with the most divergence, as many as there is room for, in their own order. */
function running(
  { set, referee, kl, lengths, differing, disagreements }: Comparison,
  sequences: number[][],
  text: Text,
): Markup {
  const starts = lengths.map((_, index) => lengths.slice(0, index).reduce((a, b) => a + b, 0));
  const total = (index: number) =>
    kl.slice(starts[index], starts[index] + lengths[index]).reduce((a, b) => a + (b || 0), 0);
  const order = lengths.map((_, index) => index).sort((a, b) => total(b) - total(a) || a - b);
  const chosen: number[] = [];
  for (let left = SHOWN; left > 0 && order.length > 0; ) {
    const index = order.shift() as number;
    chosen.push(index);
    left -= lengths[index];
  }
  chosen.sort((a, b) => a - b);
  const others = new Set(differing ?? []);
  const details = new Map(disagreements.map((each) => [starts[each.sequence] + each.position, each]));
  const show = (index: number) => {
    const ids = (sequences[index] ?? []).slice(0, SHOWN);
    const tokens = ids.map((id, position) => {
      if (position === 0) return html`<span class="dim">${broken(text(id))}</span>`;
      const at = starts[index] + position - 1;
      const title = describe(position - 1, kl[at], details.get(at));
      return html`<span class="k${stepOf(kl[at])}${others.has(at) ? ' other' : ''}" title="${title}">${broken(text(id))}</span>`;
    });
    return html`<p class="tokens">${tokens}</p>\n`;
  };
  const part =
    chosen.length < lengths.length
      ? `: ${chosen.length} of ${lengths.length} sequences, those with the most divergence`
      : '';
  const isLong = lengths.reduce((a, b) => a + b, 0) > 400;
  return html`<details${isLong ? html`` : html` open`}><summary>${set} against ${referee}${part}</summary><div class="panel" style="padding:0">${chosen.map(show)}</div></details>\n`;
}

/** A break is shown and made. */
const broken = (text: string): string => text.replace(/\r\n|\r|\n/g, '↵\n');

function describe(position: number, kl: number, found: Disagreement | undefined): string {
  const says = (candidates: Candidate[]) => {
    const [best] = candidates;
    return best ? `${quoted(best.text ?? `#${best.id}`)} ${percent(best.probability, 2)}` : '';
  };
  const both = found ? `; reference ${says(found.reference)}, package ${says(found.actual)}` : '';
  return `after position ${position}: KL ${digits(kl, 3)}${both}`;
}
