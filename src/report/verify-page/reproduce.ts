import type { VerifyReport } from '../../core/verify-report.js';
import { grouped } from '../numbers.js';
import { html, type Markup } from '../page/markup.js';
import { table } from '../page/table.js';

/** Everything that this report depends on. */
export function reproduction({ reproduce, tool, provenance, formatVersion }: VerifyReport): Markup {
  const { versions, platform, manifestSha256, options, reference } = provenance;
  const fact = (name: string, value: string | null) => value !== null && html`<dt>${name}</dt><dd>${value}</dd>\n`;
  const files = reference.map(({ name, size, sha256, of }) => [
    html`<span class="mono">${name}</span>`,
    grouped(size),
    html`<span class="mono">${sha256}</span><small>SHA-256 of the ${of}</small>`,
  ]);
  return html`<pre>${reproduce}</pre>
<dl class="facts">${fact(tool.name, tool.version)}${Object.entries(versions).map(([name, version]) => fact(name, version))}${fact('platform', platform)}${fact('report format', String(formatVersion))}
${manifestSha256 !== null && html`<dt>halfbyte.json</dt><dd class="mono">${manifestSha256}<span class="dim small"> (SHA-256; it has digests of all other files)</span></dd>`}</dl>
${files.length > 0 && table(['file of the reference', 'bytes', 'digest'], files)}
${options !== null && html`<details><summary>Options that the package was made with</summary><pre>${JSON.stringify(options, null, 2)}</pre></details>`}`;
}
