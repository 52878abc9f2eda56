import { createRequire } from 'node:module';
import { shown } from '../core/printable.js';

/** The lines of a table for a terminal: the first column to the left, the others to the right; cells are cut as names are. */
export function table(head: string[], rows: string[][]): string[] {
  // Loaded when there is something to show: no command should start slower for it.
  const Table = createRequire(import.meta.url)('cli-table3') as typeof import('cli-table3');
  const drawn = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows.map((row) => row.map(shown)));
  return drawn.toString().split('\n');
}
