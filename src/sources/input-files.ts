import { EnvironmentError, InvalidInputError } from '../core/errors.js';
import { isAbsent, openInput } from '../formats/input-file.js';
import { type FileSystem, realFileSystem } from './file-system.js';

/** Descriptors kept open: a large checkpoint has more shards (163) than some systems allow open files (256). */
const OPEN_FILES = 24;

/** Files read at positions, opened when first needed. */
export class InputFiles {
  readonly #descriptors = new Map<string, number>();

  constructor(readonly fs: FileSystem = realFileSystem) {}

  /**
   * Fills `view` with the bytes of `file` from `offset` on. Throws InvalidInputError where the file ends too early (it
   * was complete when the work was planned), EnvironmentError where it is gone or the system cannot read it.
   */
  read(file: string, offset: number, view: Uint8Array): void {
    const descriptor = this.#open(file);
    let done = 0;
    while (done < view.byteLength) {
      let count: number;
      try {
        count = this.fs.readSync(descriptor, view, done, view.byteLength - done, offset + done);
      } catch (error) {
        throw unreadable(file, error);
      }
      if (count === 0) {
        throw new InvalidInputError(
          `${file}: ends at byte ${offset + done}; bytes ${offset} to ${offset + view.byteLength} were planned from its header.`,
          'something changed or truncated the file: download it again, then run the same command again.',
        );
      }
      done += count;
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) this.fs.closeSync(descriptor);
    this.#descriptors.clear();
  }

  #open(file: string): number {
    const known = this.#descriptors.get(file);
    if (known !== undefined) return known;
    const [oldest] = this.#descriptors;
    if (oldest && this.#descriptors.size >= OPEN_FILES) {
      this.fs.closeSync(oldest[1]);
      this.#descriptors.delete(oldest[0]);
    }
    try {
      const { descriptor } = openInput(file, this.fs);
      this.#descriptors.set(file, descriptor);
      return descriptor;
    } catch (error) {
      // Planned from it, so it was there: what it takes is to bring it back.
      throw isAbsent(error) ? unreadable(file, Object.assign(new Error(), { code: 'ENOENT' })) : error;
    }
  }
}

function unreadable(file: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  const found = code === 'ENOENT' ? 'the file has vanished' : `it cannot be read (${code ?? (error as Error).message})`;
  return new EnvironmentError(
    `${file}: ${found}.`,
    'check the drive, the network and the permissions, then run the same command again: finished work is kept.',
  );
}
