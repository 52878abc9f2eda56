import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { EnvironmentError, InvalidInputError } from '../core/errors.js';

/** Largest file of each kind that is read into memory: several times what the largest known models have. */
export const LARGEST = {
  /** config.json and other settings. */
  settings: 16_000_000,
  /** tokenizer.json, indexes (9 MB for DeepSeek-V3), manifests. */
  lists: 100_000_000,
  /** Texts to measure on, templates. */
  text: 64_000_000,
  /** A graph: protobuf's own limit. */
  graph: 2 ** 31 - 1,
} as const;

/** The calls by which inputs are opened; tests bring their own to make a disk fail. */
export interface OpeningCalls {
  statSync: (path: string) => Pick<Stats, 'isFile'>;
  openSync: (path: string, flags: number) => number;
  fstatSync: (descriptor: number) => Stats;
  closeSync: (descriptor: number) => void;
}
const realCalls: OpeningCalls = { statSync, openSync, fstatSync, closeSync };

/** An opened input; whoever opens it closes it. */
export interface InputFile {
  descriptor: number;
  size: number;
}

/**
 * Opens a file to read it: what every input goes through. Links are followed, but only a regular file is opened: reading
 * a pipe, a device or a socket would wait or never end. Throws InvalidInputError for those, for folders, for what is not
 * there and for links in a circle, EnvironmentError where the system refuses.
 */
export function openInput(file: string, calls: OpeningCalls = realCalls): InputFile {
  try {
    // Before it is opened: opening a device may have an effect already.
    refuseOther(file, calls.statSync(file) as Stats);
    const descriptor = calls.openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const stats = calls.fstatSync(descriptor);
      refuseOther(file, stats);
      return { descriptor, size: stats.size };
    } catch (error) {
      calls.closeSync(descriptor);
      throw error;
    }
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** All bytes of a file. Throws as `openInput` does, and InvalidInputError where it is larger than `most`. */
export function readInput(file: string, most: number): Uint8Array {
  const { descriptor, size } = openInput(file);
  try {
    if (size > most) {
      throw new InvalidInputError(`${file}: has ${size} bytes; at most ${most} are read.`, 'check this file.');
    }
    const bytes = new Uint8Array(size);
    let done = 0;
    for (let count = -1; count !== 0 && done < size; done += count) {
      count = readSync(descriptor, bytes, done, size - done, done);
    }
    return done === size ? bytes : bytes.subarray(0, done);
  } catch (error) {
    throw unreadable(file, error);
  } finally {
    closeSync(descriptor);
  }
}

/** Whether there is something of this name, a link that leads nowhere too: that one is an error, not an absent file. */
export function isInput(file: string): boolean {
  try {
    closeSync(openInput(file).descriptor);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** What is thrown where nothing of this name is there, not even a link. */
class AbsentFile extends InvalidInputError {}

export const isAbsent = (error: unknown): boolean => error instanceof AbsentFile;

function refuseOther(file: string, stats: Stats): void {
  if (stats.isFile()) return;
  throw new InvalidInputError(`${file}: is ${kindOf(stats)}, not a file.`, 'give a regular file in its place.');
}

/** What stands somewhere in place of a file, in words. */
export function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'a file';
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  if (stats.isSymbolicLink()) return 'a link';
  return 'a device';
}

function unreadable(file: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error as Error;
  switch (code) {
    case 'ENOENT':
      return leadsNowhere(file)
        ? new InvalidInputError(
            `${file}: is a link to a file that is not there.`,
            'download the file that it stands for.',
          )
        : new AbsentFile(`${file}: there is no such file.`, 'check the path.');
    case 'ENOTDIR':
      return new AbsentFile(`${file}: there is no such file: a part of the path is no folder.`, 'check the path.');
    case 'ELOOP':
      return new InvalidInputError(`${file}: is a link in a circle of links.`, 'put the file itself in its place.');
    case 'ENXIO':
      return new InvalidInputError(
        `${file}: is a socket or a device, not a file.`,
        'give a regular file in its place.',
      );
    case 'ENAMETOOLONG':
    case 'ERR_INVALID_ARG_VALUE':
      return new InvalidInputError(`${file}: is no possible name of a file.`, 'check the name.');
    case 'EACCES':
    case 'EPERM':
      return new EnvironmentError(`${file}: cannot be read: permission denied (${code}).`, 'check its permissions.');
    case 'EMFILE':
    case 'ENFILE':
      return new EnvironmentError(
        `${file}: cannot be opened: too many open files (${code}).`,
        'raise the limit with ulimit -n.',
      );
    default:
      return new EnvironmentError(
        `${file}: cannot be read (${code}).`,
        'check the drive and the permissions of this file.',
      );
  }
}

function leadsNowhere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}
