import type { FileRange } from '../core/checkpoint.js';
import { InvalidInputError } from '../core/errors.js';
import type { Weight } from '../core/graph.js';
import type { Job, PlannedFile } from '../core/plan.js';
import type { QuantizationArgs, Scheme } from '../core/scheme.js';
import type { TargetStage } from '../core/target.js';
import type { RowSource } from '../core/weights.js';

/** Weights at least this large start on a border at which every system can map files (Windows: 64 KiB). */
const MAPPED_SIZE = 1 << 20;
const MAPPED_ALIGNMENT = 1 << 16;
const SMALL_ALIGNMENT = 64;

const alignedTo = (offset: number, nbytes: number) => {
  const alignment = nbytes >= MAPPED_SIZE ? MAPPED_ALIGNMENT : SMALL_ALIGNMENT;
  return Math.ceil(offset / alignment) * alignment;
};

/** One weight with one scheme: what it is made of and how large each part is. */
export interface PlannedWeight {
  weight: Weight & { scheme: QuantizationArgs };
  source: RowSource;
  rows: number;
  cols: number;
  scheme: Scheme;
  /** The source's codes stand on the scheme's grid already. */
  keepsCodes: boolean;
}

/** Places the parts of weights in data files, each (source, scheme) pair once, and lists the jobs that fill them. */
export class DataLayout {
  readonly jobs: Job[] = [];
  readonly #sizes = new Map<string, number>();
  readonly #placed = new Map<string, Record<string, FileRange>>();

  /** The place of each part of a weight, in `dataFile` unless the same bytes stand somewhere already. */
  place(
    planned: PlannedWeight,
    { dataFile: first, maxDataBytes }: Pick<TargetStage, 'dataFile' | 'maxDataBytes'>,
  ): Record<string, FileRange> {
    const { weight, source, rows, cols, scheme, keepsCodes } = planned;
    const key = JSON.stringify([source, weight.scheme, rows, cols]);
    const known = this.#placed.get(key);
    if (known) return known;
    const outputs: Record<string, FileRange> = {};
    const layout = Object.entries(scheme.layout(rows, cols, weight.scheme));
    const dataFile = this.#fileFor(
      first,
      layout.map(([, { nbytes }]) => nbytes),
      weight.name,
      maxDataBytes,
    );
    for (const [part, { nbytes }] of layout) {
      const offset = alignedTo(this.#sizes.get(dataFile) ?? 0, nbytes);
      outputs[part] = { file: dataFile, offset, nbytes };
      this.#sizes.set(dataFile, offset + nbytes);
    }
    const kept = keepsCodes ? { keepCodes: true } : {};
    this.jobs.push({ name: weight.name, source, scheme: weight.scheme, ...kept, outputs });
    this.#placed.set(key, outputs);
    return outputs;
  }

  /** The last data file of a series, or the next where it has no room for these parts. */
  #fileFor(first: string, parts: number[], weight: string, most = Number.POSITIVE_INFINITY): string {
    const endOf = (from: number) => parts.reduce((offset, nbytes) => alignedTo(offset, nbytes) + nbytes, from);
    if (endOf(0) > most) {
      throw new InvalidInputError(
        `tensor "${weight}" takes ${endOf(0)} bytes; a file of this package holds ${most}.`,
        'convert it with fewer bits, for embeddings with --target cpu.',
      );
    }
    const nameOf = (number: number) => (number === 0 ? first : `${first}_${number}`);
    let number = 0;
    while (this.#sizes.has(nameOf(number + 1))) number++;
    return nameOf(endOf(this.#sizes.get(nameOf(number)) ?? 0) > most ? number + 1 : number);
  }

  files(): PlannedFile[] {
    return [...this.#sizes].map(([name, nbytes]) => ({ name, nbytes }));
  }
}
