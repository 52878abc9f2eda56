import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Writes a section of a Markdown file, from its heading of two signs to the next; the others stay as they are. */
export function writeSection(file, heading, text) {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '# Clients, run\n';
  const [top, ...sections] = before.split(/^(?=## )/m);
  const at = sections.findIndex((each) => each.startsWith(`${heading}\n`));
  sections.splice(at < 0 ? sections.length : at, at < 0 ? 0 : 1, `${heading}\n\n${text.trim()}\n`);
  writeFileSync(file, `${[top, ...sections].map((each) => each.trim()).join('\n\n')}\n`);
}
