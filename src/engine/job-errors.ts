import { addErrors, ERROR_STATE_BYTES, type ErrorSums, noErrors, readErrors } from '../core/error-sums.js';
import type { Unit } from './units.js';

/** Error sums of a unit as journals and messages carry them: base64 without the zero bytes at the end. */
export function packErrors(state: Uint8Array): string {
  let end = state.length;
  while (end > 0 && state[end - 1] === 0) end--;
  return Buffer.from(state.subarray(0, end)).toString('base64');
}

function unpackErrors(text: string): ErrorSums {
  const state = new Uint8Array(ERROR_STATE_BYTES);
  state.set(Buffer.from(text, 'base64').subarray(0, ERROR_STATE_BYTES));
  return readErrors(state);
}

const NOTHING = noErrors();

/**
 * Collects the errors of units in whatever order they finish and gives those of jobs: units are added up in their own
 * order, so that the last bit depends on nothing else.
 */
export class JobErrors {
  readonly #units = new Map<number, ErrorSums>();
  /** Counts do not care for order: those of histograms are added up at once, which keeps a unit small. */
  readonly #histograms = new Map<number, ErrorSums>();

  /** Notes the errors of a unit, given by its number. */
  add(unit: number, { job }: Unit, packed: string): void {
    const errors = unpackErrors(packed);
    const histogram = this.#histograms.get(job) ?? noErrors();
    addErrors(histogram, { ...NOTHING, before: errors.before, after: errors.after });
    this.#histograms.set(job, histogram);
    this.#units.set(unit, { ...errors, before: NOTHING.before, after: NOTHING.after });
  }

  /** By number of the job; jobs that were not measured are missing. */
  byJob(units: readonly Unit[]): Map<number, ErrorSums> {
    const jobs = new Map<number, ErrorSums>();
    for (const [number, { job }] of units.entries()) {
      const errors = this.#units.get(number);
      if (errors === undefined) continue;
      const sums = jobs.get(job) ?? { ...(this.#histograms.get(job) as ErrorSums) };
      addErrors(sums, errors);
      jobs.set(job, sums);
    }
    return jobs;
  }
}
