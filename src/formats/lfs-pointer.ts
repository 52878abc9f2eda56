import { closeSync, readSync } from 'node:fs';
import { InvalidInputError } from '../core/errors.js';
import { openInput } from './input-file.js';

/** First bytes of a pointer (git-lfs/docs/spec.md), which stands for a file that was not downloaded. */
const POINTER = 'version https://git-lfs.github.com/';
export const POINTER_BYTES = POINTER.length;

/** Throws InvalidInputError where a file's first bytes are those of a pointer of Git LFS. */
export function refusePointer(name: string, first: Uint8Array): void {
  if (Buffer.from(first.subarray(0, POINTER_BYTES)).toString('latin1') !== POINTER) return;
  throw new InvalidInputError(
    `${name}: is a pointer of Git LFS, not the file that it stands for.`,
    'run "git lfs pull" in that directory, or download the file by itself.',
  );
}

/** The same of a file by its path; one that cannot be read is for those who need it to say so. */
export function refusePointerFile(path: string): void {
  const first = new Uint8Array(POINTER_BYTES);
  try {
    const { descriptor } = openInput(path);
    try {
      readSync(descriptor, first, 0, POINTER_BYTES, 0);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return;
  }
  refusePointer(path, first);
}
