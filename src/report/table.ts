import { createRequire } from 'node:module';
import { shown } from '../core/printable.js';

/**
 * A table for a terminal: the first column to the left, the others to the right. Where the terminal is too narrow for its
 * frame it goes without one, and where it is too narrow for its columns every row becomes a paragraph. Cells are cut as names are.
 */
export function table(head: string[], rows: string[][], columns = process.stdout.columns ?? Infinity): string[] {
  const cells = rows.map((row) => row.map(shown));
  const fits = (lines: string[]) => lines.every((line) => line.length <= columns);
  const framed = draw(head, cells, { compact: true });
  if (fits(framed)) return framed;
  const frameless = draw(head, cells, { compact: true, 'padding-left': 0, 'padding-right': 2 }, FRAMELESS);
  const plain = frameless.map((line) => line.trimEnd());
  return fits(plain) ? plain : paragraphs(head, cells, columns);
}

const SIDES = ['top', 'bottom', 'left', 'mid', 'right'];
const FRAMELESS = Object.fromEntries(
  [...SIDES, 'middle', ...SIDES.flatMap((side) => ['mid', 'left', 'right'].map((other) => `${side}-${other}`))].map(
    (name) => [name, ''],
  ),
);

function draw(head: string[], rows: string[][], style: object, chars: object = {}): string[] {
  // Loaded when there is something to show: no command should start slower for it.
  const Table = createRequire(import.meta.url)('cli-table3') as typeof import('cli-table3');
  const drawn = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], ...style },
    chars,
  });
  drawn.push(...rows);
  return drawn.toString().split('\n');
}

/** Each row as its name and, indented, its values with the names of their columns, broken between values. */
function paragraphs([title, ...names]: string[], rows: string[][], columns: number): string[] {
  const lines = title === '' ? [] : [title];
  for (const [name, ...values] of rows) {
    lines.push(name);
    let line = '';
    for (const [index, value] of values.entries()) {
      if (value === '') continue;
      const pair = `${names[index]} ${value}`.trim();
      if (line !== '' && line.length + pair.length + 2 > columns) {
        lines.push(`${line},`);
        line = '';
      }
      line += line === '' ? `  ${pair}` : `, ${pair}`;
    }
    if (line !== '') lines.push(line);
  }
  return lines;
}
