import type { Verdict } from '../../core/verify-report.js';
import { html, type Markup } from '../page/markup.js';

/** The tone of a verdict in the page's style. */
export const TONES = { pass: 'good', ambiguous: 'warn', fail: 'bad' } as const satisfies Record<Verdict, string>;

const SIGNS: Record<Verdict, string> = { pass: '✓', ambiguous: '?', fail: '✗' };

/** The sign of a verdict, with its word for those who do not see it. */
export const sign = (verdict: Verdict): Markup =>
  html`<span class="sign ${TONES[verdict]}" role="img" aria-label="${verdict}">${SIGNS[verdict]}</span>`;

export const badge = (verdict: Verdict): Markup =>
  html`<span class="badge ${TONES[verdict]}">${SIGNS[verdict]} ${verdict}</span>`;

export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
