import type { Dressing } from '../core/dressing.js';
import { InvalidInputError } from '../core/errors.js';
import type { Job } from '../core/plan.js';
import type { ProgressListener } from '../core/progress.js';
import { storedBytes } from '../engine/units.js';
import { find } from '../registry.js';
import { InputFiles } from '../sources/input-files.js';
import { openRows } from '../sources/read.js';

const TILE_BYTES = 1 << 20;

/**
 * A first pass for schemes with one scale for a tensor (or for several that share it): finds the greatest magnitude,
 * so that the second pass can go row by row. Returns the jobs with it; others stay as they are.
 */
export async function withSharedScales(
  jobs: readonly Job[],
  dressing: Dressing,
  onProgress: ProgressListener,
  signal: AbortSignal,
): Promise<Job[]> {
  const needing = new Set<Job>();
  for (const job of jobs) {
    const scheme = await find('schemes', job.scheme.scheme);
    if (!job.keepCodes && scheme && !Number.isFinite(scheme.rowQuantum(job.scheme))) needing.add(job);
  }
  const total = [...needing].reduce((sum, job) => sum + storedBytes(job.source), 0);
  const greatest = new Map<string, number>();
  const keyOf = (job: Job) => dressing.sharedScale?.(job, job.scheme) ?? job.name;
  const files = new InputFiles();
  try {
    let done = 0;
    for (const job of needing) {
      signal.throwIfAborted();
      const amax = await amaxOf(job, files);
      greatest.set(keyOf(job), Math.max(greatest.get(keyOf(job)) ?? 0, amax));
      done += storedBytes(job.source);
      onProgress({ stage: 'scan', done, total, label: job.name });
    }
  } finally {
    files.close();
  }
  return jobs.map((job) =>
    needing.has(job) ? { ...job, scheme: { ...job.scheme, amax: greatest.get(keyOf(job)) as number } } : job,
  );
}

async function amaxOf({ name, source }: Job, files: InputFiles): Promise<number> {
  const reader = await openRows(source, files);
  const step = Math.max(1, Math.floor(TILE_BYTES / (4 * source.cols * reader.quantum))) * reader.quantum;
  const values = new Float32Array(Math.min(step, source.rows) * source.cols);
  let amax = 0;
  for (let from = 0; from < source.rows; from += step) {
    const count = Math.min(step, source.rows - from);
    reader.readFloat32(from, count, values);
    for (let i = 0; i < count * source.cols; i++) {
      const magnitude = Math.abs(values[i]);
      if (magnitude > amax) amax = magnitude;
      else if (Number.isNaN(magnitude)) throw notFinite(name, from + Math.floor(i / source.cols), i % source.cols);
    }
  }
  if (amax === Number.POSITIVE_INFINITY) throw notFinite(name);
  return amax;
}

function notFinite(name: string, row?: number, column?: number): InvalidInputError {
  const place = row === undefined ? '' : ` at row ${row}, column ${column}`;
  return new InvalidInputError(
    `tensor "${name}" holds a value that is not finite${place}; a weight must be finite.`,
    'download this file again; if its checksum is right, the checkpoint itself is broken.',
  );
}
