import { availableParallelism } from 'node:os';
import { UsageError } from '../core/errors.js';
import type { MemoryNeeds } from './memory-needs.js';

/** Rows and parts that one worker holds: larger is no faster, smaller costs more calls. */
export const BEST_BUFFER = 2 << 20;
const SMALLEST_BUFFER = 256 << 10;
/** Resident memory of a worker thread besides its buffer, and of the main thread while it waits and finishes. */
const WORKER_BYTES = 14 << 20;
const MAIN_BYTES = 16 << 20;

/** What the same process has resident differs by some MiB from run to run; a figure told to the user must hold in each. */
const STEP = 8 << 20;

export interface MemoryPlan {
  /** Worker threads; 0 works in the main thread. */
  workers: number;
  /** Bytes of wasm memory for rows and parts, per thread that works. */
  bufferBytes: number;
}

/**
 * Divides `maxMemory` (resident bytes of the whole process, undefined for no ceiling) among workers. `resident` is
 * what the process has now. Gives up workers before it refuses; throws UsageError with the smallest figure that works.
 */
export function planMemory(
  wanted: number | undefined,
  maxMemory: number | undefined,
  resident: number,
  { largestRow, scratch }: MemoryNeeds,
): MemoryPlan {
  const least = Math.max(SMALLEST_BUFFER, largestRow);
  const best = Math.max(BEST_BUFFER, largestRow);
  let workers = wanted ?? availableParallelism();
  if (maxMemory === undefined) return { workers, bufferBytes: best };
  const free = maxMemory - resident - MAIN_BYTES;
  for (; workers >= 1; workers--) {
    const bufferBytes = Math.floor(free / workers) - WORKER_BYTES - scratch;
    if (bufferBytes >= least) return { workers, bufferBytes: Math.min(best, bufferBytes) };
  }
  if (free - scratch >= least) return { workers: 0, bufferBytes: Math.min(best, free - scratch) };
  const smallest = Math.ceil((resident + MAIN_BYTES + scratch + least) / STEP) * (STEP / 2 ** 20);
  throw new UsageError(
    `--max-memory ${Math.floor(maxMemory / 2 ** 20)}MiB is too low for this model: its widest rows and the program need ${smallest}MiB.`,
    `--max-memory ${smallest}MiB.`,
  );
}

/** Reads a size such as that of `--max-memory`: a number with B, kB, MB, GB, KiB, MiB or GiB. Throws UsageError. */
export function parseSize(text: string, flag = '--max-memory'): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim());
  const [, digits, prefix, binary] = match ?? [];
  const power = ['', 'k', 'm', 'g', 't'].indexOf((prefix ?? '').toLowerCase());
  const bytes = Math.floor(Number(digits) * (binary ? 1024 : 1000) ** power);
  if (!match || (binary && !prefix) || !Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new UsageError(`${flag} ${text}: needed is a size such as 200MiB or 1GB.`, `${flag} 200MiB.`);
  }
  return bytes;
}
