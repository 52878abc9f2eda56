import { formatBytes } from '../../core/bytes.js';
import type { Comparison, Verdict, VerifyReport } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { type Content, html, type Markup } from '../page/markup.js';
import { badge, TONES } from './marks.js';
import { leading } from './sets.js';

/** The head of the page: verdict and subject. */
export const heading = ({ verdict, subject }: VerifyReport): Markup => html`${badge(verdict)} ${subject.path}`;

/** Why the verdict is what it is, where the fault is, and what was compared with what. */
export function banner(report: VerifyReport): Markup {
  const { verdict, summary, strict, localisation, notes } = report;
  const likely = localisation?.hypotheses.filter((each) => each.likely).map(({ statement }) => statement) ?? [];
  const findings = localisation?.findings.filter((each) => !likely.includes(each)) ?? [];
  const means = meaning(verdict, strict);
  return html`<div class="banner ${TONES[verdict]}"><p class="reason">${summary}</p>
${means && html`<p class="dim small">${means}</p>`}
${list('Where', findings)}${list('Likely cause', likely)}${list('Notes', notes)}</div>
<p class="dim">${subjectLine(report)}</p>`;
}

const list = (title: string, lines: readonly string[]): Content =>
  lines.length > 0 && html`<h2>${title}</h2><ul>${lines.map((each) => html`<li>${each}</li>`)}</ul>\n`;

function meaning(verdict: Verdict, strict: boolean): string | null {
  if (verdict === 'fail') return 'The package differs from its reference by more than its number formats explain.';
  if (verdict !== 'ambiguous') return null;
  return `The measurement does not decide: more tokens narrow its intervals.${strict ? ' With --strict this counts as failed.' : ''}`;
}

function subjectLine({ subject, reference }: VerifyReport): Content {
  const schemes = Object.entries(subject.schemes)
    .sort(([, a], [, b]) => b - a)
    .map(([scheme, weights]) => `${scheme} (${weights})`);
  const level = subject.accuracyLevel === null ? '' : `, accuracy level ${subject.accuracyLevel}`;
  const numbers = schemes.length > 0 ? `: ${schemes.join(', ')}${level}` : '';
  const against = { golden: 'stored logits', checkpoint: 'checkpoint', command: 'answers of' }[reference.kind];
  return html`${subject.model} for ${subject.target}${numbers}, against the ${against} <code>${reference.path}</code>`;
}

interface Card {
  value: Content;
  label: string;
  detail?: string | undefined;
  tone?: string | undefined;
}

/** The numbers that people ask for first. KL, agreement and perplexity are coloured only where a gate judges them. */
export function cards(report: VerifyReport): Markup {
  const { subject, perplexity } = report;
  const comparison = leading(report.comparisons);
  const found: Card[] = [];
  if (comparison) {
    found.push(
      ...metricCard(report, comparison, 'kl_divergence', 'mean KL divergence', (value) => digits(value, 3), ' nats'),
      ...metricCard(report, comparison, 'top1_agreement', 'same most likely token', (value) => percent(value), ''),
    );
  }
  if (perplexity) {
    const { value, reference } = perplexity;
    const change =
      reference === null ? undefined : `reference ${digits(reference)}, ${signedPercent(value / reference - 1)}`;
    found.push({ value: digits(value), label: 'perplexity', detail: change, tone: gateTone(report, 'perplexity') });
  } else if (comparison) {
    const percentOf = (value: number) => signedPercent(value - 1);
    found.push(
      ...metricCard(report, comparison, 'perplexity_ratio', 'perplexity against the reference', percentOf, ''),
    );
  }
  found.push(...structureCard(report));
  if (subject.weightBytes !== null && subject.bitsPerWeight !== null) {
    const detail = subject.parameters === null ? undefined : `${parameters(subject.parameters)} parameters`;
    found.push({ value: subject.bitsPerWeight.toFixed(2), label: 'bits per weight', detail });
    const total = subject.files.reduce((sum, { size }) => sum + size, 0);
    found.push({
      value: formatBytes(subject.weightBytes),
      label: 'weights',
      detail: `${formatBytes(total)} in all files`,
    });
  }
  return html`<div class="cards">${found.map(card)}</div>`;
}

const card = ({ value, label, detail, tone }: Card): Markup =>
  html`<div class="card ${tone}"><b>${value}</b><span>${label}</span>${detail && html`<small>${detail}</small>`}</div>\n`;

function metricCard(
  report: VerifyReport,
  { metrics, set }: Comparison,
  metric: string,
  label: string,
  format: (value: number) => string,
  unit: string,
): Card[] {
  const found = metrics.find(({ id }) => id === metric);
  if (!found) return [];
  const { value, interval } = found;
  const detail = interval ? `${format(interval.low)} to ${format(interval.high)} on ${set}` : `on ${set}`;
  return [{ value: `${format(value)}${unit}`, label, detail, tone: gateTone(report, metric) }];
}

/** How far the arithmetic is from what its own numbers give, as a share of what is allowed: the closest of all sets. */
function structureCard({ checks }: VerifyReport): Card[] {
  const structure = checks.filter(
    ({ id, measured, limit }) => /^structure /.test(id) && measured !== undefined && limit,
  );
  if (structure.length === 0) return [];
  const share = ({ measured = 0, limit = 1 }) => (Number.isNaN(measured) ? Number.POSITIVE_INFINITY : measured / limit);
  const worst = structure.reduce((a, b) => (share(b) > share(a) ? b : a));
  const { measured = 0, limit = 0, unit = '' } = worst;
  const isShare = unit.startsWith('share');
  const format = (value: number) => (isShare ? percent(value) : digits(value, 3));
  const detail = `at most ${format(limit)}${isShare ? '' : ` ${unit}`}`;
  return [{ value: format(measured), label: 'error of the arithmetic', detail, tone: TONES[worst.verdict] }];
}

/** The worst verdict of the gates on a metric; undefined where none judges it. */
function gateTone({ checks }: VerifyReport, metric: string): string | undefined {
  const gates = checks.filter(({ group, id }) => group === 'gate' && new RegExp(`^gate ${metric}\\W`).test(id));
  const worst = (['fail', 'ambiguous', 'pass'] as const).find((verdict) =>
    gates.some((each) => each.verdict === verdict),
  );
  return worst && TONES[worst];
}

const signedPercent = (share: number): string => `${share > 0 ? '+' : ''}${percent(share, 2)}`;

function parameters(count: number): string {
  if (count >= 1e9) return `${digits(count / 1e9, 3)} billion`;
  if (count >= 1e6) return `${digits(count / 1e6, 3)} million`;
  return String(count);
}
