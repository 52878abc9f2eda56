import { constants } from 'node:fs';
import type { FileSystem } from '../sources/file-system.js';
import { unwritable } from './output-files.js';

/** What is known of a unit that is done: the digests of its parts and, where it is measured, its error sums. */
export interface FinishedUnit {
  digests: string[];
  errors?: string;
}

/** Appends, makes the file where there is none, and follows no link. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);

export type FinishedUnits = Map<number, FinishedUnit>;

/**
 * The file that makes a conversion survive: a first line with the identity of the work, then a line for each finished
 * unit. Lines are written after the unit's bytes and never synced to the disk: a killed process loses nothing that it
 * wrote, and after a power failure the digests tell which units really arrived.
 */
export class Journal {
  readonly #descriptor: number;

  private constructor(
    readonly path: string,
    readonly fs: FileSystem,
    identity: string,
  ) {
    try {
      const text = readIfThere(path, fs);
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      this.#descriptor = fs.openSync(path, APPEND);
      // What a kill cut off in the last line goes, or the next line would continue it.
      if (whole.length < text.length) fs.ftruncateSync(this.#descriptor, Buffer.byteLength(whole));
      if (whole === '') this.#append({ halfbyte_journal: 1, identity });
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  static open(path: string, identity: string, fs: FileSystem): Journal {
    return new Journal(path, fs, identity);
  }

  record(unit: number, { digests, errors }: FinishedUnit): void {
    try {
      this.#append({ unit, digests, errors });
    } catch (error) {
      throw unwritable(this.path, error);
    }
  }

  close(): void {
    this.fs.closeSync(this.#descriptor);
  }

  #append(line: object): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let done = 0; done < bytes.length; ) {
      done += this.fs.writeSync(this.#descriptor, bytes, done, bytes.length - done, null);
    }
  }
}

/** A journal's identity and finished units; undefined where it holds no complete first line. */
export function readJournal(path: string, fs: FileSystem): { identity: string; finished: FinishedUnits } | undefined {
  const text = readIfThere(path, fs);
  const [first, ...lines] = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  const head = parse(first ?? '');
  if (head?.halfbyte_journal !== 1 || typeof head.identity !== 'string') return undefined;
  const finished: FinishedUnits = new Map();
  for (const line of lines) {
    const { unit, digests, errors } = parse(line) ?? {};
    // A line that is not whole stands for no finished work.
    if (!Number.isSafeInteger(unit) || !isListOfText(digests)) continue;
    finished.set(unit as number, { digests, ...(typeof errors === 'string' ? { errors } : {}) });
  }
  return { identity: head.identity, finished };
}

const isListOfText = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function readIfThere(path: string, fs: FileSystem): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
