import { DTYPE_BITS } from '../core/dtype.js';
import type { Job } from '../core/plan.js';
import { dequantizes } from '../kernels/decode-kernels.js';
import { InputFiles } from '../sources/input-files.js';
import { openRows } from '../sources/read.js';
import { storedDtype } from '../sources/stored-rows.js';
import { meterRoom, meterScratch } from './error-meter.js';
import { partsOf } from './job-parts.js';
import { bufferBytesOf, stepsOf } from './steps.js';
import { jobQuantum, unitRows } from './units.js';

export interface MemoryNeeds {
  /** Bytes of the widest row quantum of any job, as float32 and as its parts: no buffer may be smaller. */
  largestRow: number;
  /** Bytes that readers of decoded sources hold besides that. */
  scratch: number;
}

/** What a thread needs at least to execute any of these jobs. */
export async function memoryNeeds(jobs: readonly Job[], bufferBytes: number): Promise<MemoryNeeds> {
  const files = new InputFiles();
  const needs: MemoryNeeds = { largestRow: 0, scratch: 0 };
  for (const job of jobs) {
    const { rows, cols } = job.source;
    const parts = await partsOf(job);
    const quantum = Math.min(rows, await (parts.isContiguous ? jobQuantum(job, parts) : unitRows(job, parts)));
    const inMemory = { name: job.name, parts, quantum, rowBytes: 4 * cols };
    const least = bufferBytesOf(inMemory, { read: quantum, written: quantum });
    needs.largestRow = Math.max(needs.largestRow, least);
    const stored = storedDtype(job.source);
    // the most rows that are read at a time: those of the narrowest form in which they may be
    const asStored = { ...inMemory, rowBytes: (cols * DTYPE_BITS[stored ?? 'F32']) / 8 };
    const unit = parts.isContiguous ? Math.max(1, rows) : quantum;
    const count = stepsOf(asStored, unit, Math.max(bufferBytes, least)).read;
    const meter = job.measured ? meterRoom(cols) + meterScratch({ dequantizes }, job, count) : 0;
    needs.scratch = Math.max(needs.scratch, meter);
    if (stored !== undefined) continue;
    const reader = await openRows(job.source, files);
    needs.scratch = Math.max(needs.scratch, meter + reader.scratchBytes(count));
  }
  return needs;
}
