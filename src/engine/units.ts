import type { Job } from '../core/plan.js';
import type { RowSource } from '../core/weights.js';
import { find } from '../registry.js';
import { type JobParts, leastCommonMultiple, partsOf } from './job-parts.js';

/**
 * Whole rows of one job: what is dealt out, journaled and given a digest. Units follow from the jobs alone, never from
 * workers, memory or shards, and so do their digests.
 */
export interface Unit {
  job: number;
  from: number;
  count: number;
  inputBytes: number;
}

/** The largest unit, unless one row quantum is larger. */
const OUTPUT_BYTES = 4 << 20;
const INPUT_BYTES = 16 << 20;
/** Float32 bytes of a unit whose parts have segments: long enough pieces, and little enough to hold at once. */
const SEGMENTED_BYTES = 8 << 20;

/** Bytes that a source reads from files, each tensor counted as often as it is named. */
export function storedBytes(source: RowSource): number {
  switch (source.kind) {
    case 'tensor':
      return source.ref.nbytes;
    case 'packed':
    case 'scheme':
      return Object.values(source.parts).reduce((sum, part) => sum + part.nbytes, 0);
    case 'concat':
    case 'interleave':
      return source.sources.reduce((sum, each) => sum + storedBytes(each), 0);
    case 'rotary':
      return 0;
    case 'rowBlocks':
      return source.source.rows === 0 ? 0 : Math.round((storedBytes(source.source) * source.rows) / source.source.rows);
    default:
      return storedBytes(source.source);
  }
}

/** Rows of a source that decode together. */
export async function sourceQuantum(source: RowSource): Promise<number> {
  switch (source.kind) {
    case 'packed':
      return (await find('layouts', source.layout))?.rowQuantum(source) ?? 1;
    case 'scheme': {
      const quantum = (await find('schemes', source.scheme.scheme))?.rowQuantum(source.scheme) ?? 1;
      return Number.isFinite(quantum) ? quantum : 2;
    }
    case 'concat':
      return Math.max(...(await Promise.all(source.sources.map(sourceQuantum))));
    case 'interleave':
      return source.sources.length * Math.max(...(await Promise.all(source.sources.map(sourceQuantum))));
    case 'tensor':
    case 'rotary':
    case 'transpose':
      return 1;
    default:
      return sourceQuantum(source.source);
  }
}

/** Rows in which a job is best cut: what its parts need, and what the source decodes where both together stay small. */
export async function jobQuantum(job: Job, parts: JobParts): Promise<number> {
  const needed = parts.quantum;
  if (!Number.isFinite(needed)) return Math.max(1, job.source.rows);
  const both = leastCommonMultiple(needed, await sourceQuantum(job.source));
  return both * job.source.cols * 4 <= INPUT_BYTES ? both : needed;
}

/**
 * Rows of a unit. Where a part has segments a unit is done in one step, so that neither its digest nor the length of
 * its writes depends on memory.
 */
export async function unitRows(job: Job, parts: JobParts): Promise<number> {
  const { rows, cols } = job.source;
  const quantum = await jobQuantum(job, parts);
  const inputBytes = storedBytes(job.source);
  const outputBytes = Object.values(job.outputs).reduce((sum, { nbytes }) => sum + nbytes, 0);
  const share = parts.isContiguous
    ? Math.min(OUTPUT_BYTES / Math.max(1, outputBytes), INPUT_BYTES / Math.max(1, inputBytes))
    : SEGMENTED_BYTES / Math.max(1, 4 * rows * cols);
  return Math.max(1, Math.floor((rows * share) / quantum)) * quantum;
}

/** Cuts jobs into units, in the order in which their bytes stand in the input files. */
export async function splitIntoUnits(jobs: readonly Job[]): Promise<Unit[]> {
  const order = jobs.map((_, index) => index).sort((a, b) => compareStart(jobs[a].source, jobs[b].source) || a - b);
  const units: Unit[] = [];
  for (const index of order) {
    const job = jobs[index];
    const { rows } = job.source;
    const parts = await partsOf(job);
    checkSizes(job, parts);
    const inputBytes = storedBytes(job.source);
    const step = await unitRows(job, parts);
    for (let from = 0; from < rows; from += step) {
      const count = Math.min(step, rows - from);
      units.push({ job: index, from, count, inputBytes: Math.round((inputBytes * count) / rows) });
    }
  }
  return units;
}

/** The planned byte ranges must be those of the source's shape, or parts would run into each other. */
function checkSizes({ name, source, outputs }: Job, { sizes }: JobParts): void {
  const parts = sizes(source.rows);
  for (const [part, { nbytes }] of Object.entries(outputs)) {
    if (parts[part]?.nbytes === nbytes) continue;
    throw new Error(
      `weight ${name} [${source.rows}, ${source.cols}]: ${part} takes ${parts[part]?.nbytes} bytes, ${nbytes} are planned`,
    );
  }
}

function compareStart(a: RowSource, b: RowSource): number {
  const [first, second] = [startOf(a), startOf(b)];
  if (!first || !second) return Number(Boolean(first)) - Number(Boolean(second));
  if (first.file !== second.file) return first.file < second.file ? -1 : 1;
  return first.offset - second.offset;
}

function startOf(source: RowSource): { file: string; offset: number } | undefined {
  switch (source.kind) {
    case 'tensor':
      return source.ref;
    case 'packed':
    case 'scheme':
      return Object.values(source.parts)[0];
    case 'concat':
    case 'interleave':
      return startOf(source.sources[0]);
    case 'rotary':
      return undefined;
    default:
      return startOf(source.source);
  }
}

/** Input and output of a unit weigh what has to be moved for it. */
export function unitBytes(unit: Unit, job: Job): number {
  const outputBytes = Object.values(job.outputs).reduce((sum, { nbytes }) => sum + nbytes, 0);
  return unit.inputBytes + (outputBytes * unit.count) / Math.max(1, job.source.rows);
}
