import { type Content, html, type Markup } from './markup.js';

/** A cell: its content, or with a class of the page's style (`good`, `bad`, `text`, `dim`, `mono`). */
export type Cell = Content | { content: Content; tone: string };

/** A table; the first column is text, the others numbers. It scrolls sideways where it is wider than the page. */
export function table(head: readonly Content[], rows: readonly (readonly Cell[])[]): Markup {
  return html`<div class="wide"><table>
<thead><tr>${head.map((each) => html`<th>${each}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody></table></div>`;
}

const cell = (each: Cell): Markup =>
  typeof each === 'object' && each !== null && 'tone' in each
    ? html`<td class="${each.tone}">${each.content}</td>`
    : html`<td>${each}</td>`;
