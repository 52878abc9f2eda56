import { UsageError } from '../core/errors.js';
import { aligned, type JobParts } from './job-parts.js';

/** Bytes of rows that are read at a time where they may be few: they stay in a core's cache until they are quantized. */
const READ_BYTES = 256 << 10;

/** How the rows of a unit go through memory: `read` at a time are read and quantized, `written` at a time written. */
export interface Steps {
  read: number;
  written: number;
}

/** What one job's rows take in kernel memory. */
export interface RowsInMemory {
  name: string;
  parts: JobParts;
  /** Rows that are done together. */
  quantum: number;
  /** Bytes of a row before it is quantized. */
  rowBytes: number;
}

/** Bytes of kernel memory: rows as they are read and as the scheme's parts, and those of `written` rows as they are written. */
export function bufferBytesOf({ parts, rowBytes }: RowsInMemory, { read, written }: Steps): number {
  const bytesOf = (sizes: Record<string, { nbytes: number }>) =>
    Object.values(sizes).reduce((sum, { nbytes }) => sum + aligned(nbytes), 0);
  const unpacked = parts.unpacked ? bytesOf(parts.unpacked(read)) : 0;
  return aligned(read * rowBytes) + unpacked + bytesOf(parts.sizes(written));
}

/**
 * The steps of a unit of `count` rows within `bufferBytes`: long writes, and no more rows read at a time than a cache
 * holds. Throws UsageError where not even one quantum fits.
 */
export function stepsOf(rows: RowsInMemory, count: number, bufferBytes: number): Steps {
  const { name, parts, quantum, rowBytes } = rows;
  const least = parts.isContiguous ? Math.min(count, quantum) : count;
  const fits = (steps: Steps) => bufferBytesOf(rows, steps) <= bufferBytes;
  if (!fits({ read: least, written: least })) {
    throw new UsageError(
      `--max-memory: "${name}" needs ${bufferBytesOf(rows, { read: least, written: least })} bytes a worker, ${bufferBytes} are given.`,
      'raise --max-memory, or lower --workers.',
    );
  }
  if (least === count) return { read: count, written: count };
  const most = Math.ceil(count / quantum);
  const wanted = Math.max(1, Math.floor(READ_BYTES / Math.max(1, rowBytes * quantum)));
  const read = quantum * greatest(Math.min(wanted, most), (n) => fits({ read: n * quantum, written: n * quantum }));
  const written = read * greatest(Math.ceil(count / read), (n) => fits({ read, written: Math.min(count, n * read) }));
  return { read, written };
}

/** The greatest n from 1 to `most` that `holds`; what holds for one holds for all below it, and for 1. */
function greatest(most: number, holds: (n: number) => boolean): number {
  let [yes, no] = [1, most + 1];
  while (yes + 1 < no) {
    const middle = (yes + no) >> 1;
    if (holds(middle)) yes = middle;
    else no = middle;
  }
  return yes;
}
