import { dirname, join } from 'node:path';
import { EnvironmentError } from '../core/errors.js';
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
      const descriptor = this.fs.openSync(path, 'r+');
      this.#descriptors.set(file, descriptor);
      return descriptor;
    } catch (error) {
      throw unwritable(path, error);
    }
  }
}

/** Creates a file of this size, zeros where nothing is written; an existing one of the same size keeps its bytes. */
export function allocate(path: string, nbytes: number, fs: FileSystem): void {
  try {
    fs.mkdirSync(dirname(path), { recursive: true });
    const descriptor = fs.openSync(path, 'a');
    try {
      if (fs.fstatSync(descriptor).size !== nbytes) fs.ftruncateSync(descriptor, nbytes);
    } finally {
      fs.closeSync(descriptor);
    }
  } catch (error) {
    throw unwritable(path, error);
  }
}

const CAUSES: Record<string, [found: string, advice: string]> = {
  ENOSPC: ['the disk is full', 'free some space, then run the same command again: finished work is kept.'],
  EDQUOT: ['the disk quota is used up', 'free some space, then run the same command again: finished work is kept.'],
  EACCES: ['permission denied', 'check the permissions of the folder, or write to another one with -o.'],
  EPERM: ['the operation is not permitted', 'check the permissions of the folder, or write to another one with -o.'],
  EROFS: ['the file system is read-only', 'write to another folder with -o.'],
  EFBIG: ['the file is too large for this file system', 'write to another file system with -o.'],
};

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
