import type { Check, CheckGroup, Verdict, VerifyReport } from '../../core/verify-report.js';
import { digits, percent } from '../numbers.js';
import { type Content, html, type Markup } from '../page/markup.js';
import { sign, TONES } from './marks.js';

const GROUPS: Record<CheckGroup, string> = {
  structure: 'what the graph computes, against the reference engine on the same numbers',
  weights: "the package's numbers against the checkpoint's",
  integrity: 'files, digests, configs, graphs as data',
  reference: 'whether referees agree with each other',
  gate: 'what the command line asked for',
};
const ORDER: Verdict[] = ['fail', 'ambiguous', 'pass'];

/** Checks by group; a group in which all hold is folded. */
export function checkGroups({ checks }: VerifyReport): Content {
  if (checks.length === 0) return html`<p>Nothing was judged.</p>`;
  const names = (Object.keys(GROUPS) as CheckGroup[]).filter((name) => checks.some(({ group }) => group === name));
  // The worst group first, else in the order above.
  const rank = (name: CheckGroup) => ORDER.indexOf(worstOf(checks.filter(({ group }) => group === name)));
  return names
    .sort((a, b) => rank(a) - rank(b))
    .map((name) =>
      group(
        name,
        checks.filter((each) => each.group === name),
      ),
    );
}

const worstOf = (checks: readonly Check[]): Verdict =>
  ORDER.find((verdict) => checks.some((each) => each.verdict === verdict)) ?? 'pass';

function group(name: CheckGroup, checks: Check[]): Markup {
  const passed = checks.filter(({ verdict }) => verdict === 'pass').length;
  const worst = worstOf(checks);
  const sorted = [...checks].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
  const open = worst === 'pass' ? html`` : html` open`;
  return html`<details class="group"${open}><summary>${sign(worst)} <b>${name}</b><span class="dim">${GROUPS[name]}: ${passed} of ${checks.length} hold</span></summary>
<ul>${sorted.map(row)}</ul></details>\n`;
}

function row(check: Check): Markup {
  const { id, verdict, message, where } = check;
  const place = where === undefined || message.includes(where) ? '' : ` at ${where}`;
  return html`<li>${sign(verdict)}<div>${message}<br><code>${id}${place}</code></div>${meter(check)}</li>\n`;
}

/** How much of what is allowed was used, for checks with an upper limit. */
function meter({ group, id, verdict, measured, limit }: Check): Content {
  const isUpper = (group === 'structure' || group === 'reference') && id !== 'greedy';
  if (!isUpper || measured === undefined || limit === undefined || !(limit > 0)) return html`<span></span>`;
  const share = measured / limit;
  const width = Number.isNaN(share) ? 100 : Math.min(100, Math.max(1, 100 * share));
  const said =
    share > 10 ? `${digits(share, 2)} x the limit` : share < 1e-3 ? 'below 0.1 %' : `${percent(share, 2)} of limit`;
  return html`<div class="meter">${Number.isNaN(share) ? 'not a number' : said}<span class="track ${TONES[verdict]}"><i style="width:${digits(width, 3)}%"></i></span></div>`;
}
