import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import { EnvironmentError, InvalidInputError } from '../core/errors.js';
import { own } from '../core/own.js';
import { kindOf } from '../formats/input-file.js';
import { type FileSystem, realFileSystem } from '../sources/file-system.js';

/** Most bytes of one write: from 2 MiB on, Linux takes three to five times as long for each byte (ext4, large folios). */
const WRITE_BYTES = 1 << 20;

/** Data files of a package, written at planned offsets. They exist with their final size before the first write. */
export class OutputFiles {
  readonly #descriptors = new Map<string, number>();

  constructor(
    readonly dir: string,
    readonly fs: FileSystem = realFileSystem,
  ) {}

  write(file: string, offset: number, view: Uint8Array): void {
    const descriptor = this.#open(file);
    let done = 0;
    try {
      while (done < view.byteLength) {
        const count = Math.min(WRITE_BYTES, view.byteLength - done);
        done += this.fs.writeSync(descriptor, view, done, count, offset + done);
      }
    } catch (error) {
      throw unwritable(join(this.dir, file), error);
    }
  }

  /** Fills `view` from a file of the package; false where the file is shorter. */
  read(file: string, offset: number, view: Uint8Array): boolean {
    const descriptor = this.#open(file);
    for (let done = 0; done < view.byteLength; ) {
      const count = this.fs.readSync(descriptor, view, done, view.byteLength - done, offset + done);
      if (count === 0) return false;
      done += count;
    }
    return true;
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) this.fs.closeSync(descriptor);
    this.#descriptors.clear();
  }

  #open(file: string): number {
    const known = this.#descriptors.get(file);
    if (known !== undefined) return known;
    const path = join(this.dir, file);
    try {
      const descriptor = openOwn(path, constants.O_RDWR, this.fs);
      this.#descriptors.set(file, descriptor);
      return descriptor;
    } catch (error) {
      throw unwritable(path, error);
    }
  }
}

/**
 * Opens a file of the growing package. Throws InvalidInputError where a link or anything else than a plain file with one
 * name stands in its place: what it means would be written to.
 */
function openOwn(path: string, flags: number, fs: FileSystem): number {
  let descriptor: number;
  try {
    descriptor = fs.openSync(path, flags | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0), 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw foreign(path, 'a link');
    throw error;
  }
  const stats = fs.fstatSync(descriptor);
  if (stats.isFile() && stats.nlink <= 1) return descriptor;
  fs.closeSync(descriptor);
  if (stats.isFile() && stats.nlink === 0) throw gone(path);
  throw foreign(path, stats.isFile() ? 'a file that has another name too' : kindOf(stats));
}

const foreign = (path: string, found: string): InvalidInputError =>
  new InvalidInputError(
    `${path}: ${found} stands in place of a file of this run; writing to it could harm other files.`,
    'look at who put it there, remove it and run the same command again.',
  );

const gone = (path: string): EnvironmentError =>
  new EnvironmentError(
    `${path}: another process removed this file while it was written.`,
    'find out which, then run the same command again: what is left of the finished work is kept.',
  );

/** Throws where a file of the growing package is no longer what was written: the end of a run looks at each once more. */
export function checkWritten(path: string, nbytes: number, fs: FileSystem): void {
  const stats = fs.lstatSync(path, { throwIfNoEntry: false });
  if (!stats) throw gone(path);
  if (!stats.isFile()) throw foreign(path, kindOf(stats));
  if (stats.nlink > 1) throw foreign(path, 'a file that has another name too');
  if (stats.size === nbytes) return;
  throw new InvalidInputError(
    `${path}: has ${stats.size} bytes; ${nbytes} were written: another process changed it.`,
    'find out which, then run the same command again; of a shard, the same convert --shard i/n before merge.',
  );
}

/** Creates a file of this size, zeros where nothing is written; an existing one of the same size keeps its bytes. */
export function allocate(path: string, nbytes: number, fs: FileSystem): void {
  try {
    fs.mkdirSync(dirname(path), { recursive: true });
    const descriptor = openOwn(path, constants.O_RDWR | constants.O_CREAT, fs);
    try {
      if (fs.fstatSync(descriptor).size !== nbytes) fs.ftruncateSync(descriptor, nbytes);
    } finally {
      fs.closeSync(descriptor);
    }
  } catch (error) {
    throw unwritable(path, error);
  }
}

const CAUSES: Record<string, [found: string, advice: string]> = own({
  ENOSPC: ['the disk is full', 'free some space, then run the same command again: finished work is kept.'],
  EDQUOT: ['the disk quota is used up', 'free some space, then run the same command again: finished work is kept.'],
  EACCES: ['permission denied', 'check the permissions of the folder, or write to another one with -o.'],
  EPERM: ['the operation is not permitted', 'check the permissions of the folder, or write to another one with -o.'],
  EROFS: ['the file system is read-only', 'write to another folder with -o.'],
  EFBIG: ['the file is too large for this file system', 'write to another file system with -o.'],
});

/** An error of the system while writing `path`, as an EnvironmentError that says how to go on. */
export function unwritable(path: string, error: unknown): Error {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error as Error;
  const [found, advice] = CAUSES[code] ?? [
    'it cannot be written',
    'check the drive, then run the same command again: finished work is kept.',
  ];
  return new EnvironmentError(`${path}: ${found} (${code} on ${syscall}).`, advice);
}
