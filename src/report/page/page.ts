import { type Content, html, Markup } from './markup.js';
import { STYLE } from './style.js';

/** A number with what it is, as a card; `tone` colours its edge. */
export interface Figure {
  value: string;
  label: string;
  tone?: 'good' | 'warn' | 'bad';
  title?: string;
}

/** A part of a page: a heading, a sentence on what is shown, and the thing itself. */
export interface Section {
  title: string;
  lead?: Content;
  body: Content;
}

export interface PageContent {
  title: string;
  /** What stands at the head of the page where that is more than the title. */
  heading?: Content;
  /** Style of this page's own parts, after that of all pages. */
  style?: string;
  /** Under the title: what was looked at, the verdict. */
  lead?: Content;
  figures?: Figure[];
  sections: Section[];
  foot?: Content;
}

/**
 * A whole HTML document in one file: it loads nothing and runs nothing, which its policy also demands of the browser,
 * so that no name from a checkpoint can make it.
 */
export function page({ title, heading, style, lead, figures = [], sections, foot }: PageContent): string {
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="halfbyte">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Markup(STYLE + (style ?? ''))}</style>
</head>
<body>
<main>
<h1>${heading ?? title}</h1>
${lead}
${figures.length > 0 && html`<div class="cards">${figures.map(card)}</div>`}
${sections.map(section)}
${foot && html`<p class="dim small">${foot}</p>`}
</main>
</body>
</html>
`;
  return document.text;
}

const card = ({ value, label, tone, title }: Figure) =>
  html`<div class="card ${tone}" title="${title}"><b>${value}</b><span>${label}</span></div>\n`;

const section = ({ title, lead, body }: Section) =>
  html`<section><h2>${title}</h2>${lead && html`<p class="dim">${lead}</p>`}\n${body}</section>\n`;
