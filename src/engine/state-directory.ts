import { dirname, join } from 'node:path';
import { InvalidInputError } from '../core/errors.js';
import { kindOf } from '../formats/input-file.js';
import { GROWING, isFilledInPlace } from '../places/directory.js';
import type { FileSystem } from '../sources/file-system.js';

/** In the state: what stood under the final name, while it is replaced. */
export const REPLACED = 'replaced';

/**
 * Where a package grows until it is complete: in a directory beside its final place, so that it gets its name in one
 * step; inside that place where it is a directory that can only be filled.
 */
export function stateDirectory(finalDir: string, fs: FileSystem): string {
  const beside = `${finalDir}${GROWING}`;
  const inside = join(finalDir, GROWING);
  if (exists(inside, fs)) return inside;
  if (exists(beside, fs) || !fs.statSync(finalDir, { throwIfNoEntry: false })?.isDirectory()) return beside;
  return isFilledInPlace(finalDir, fs) ? inside : beside;
}

/** Whether the state of a package lies inside its final place. */
export const isInside = (state: string, finalDir: string): boolean => dirname(state) === finalDir;

function exists(path: string, fs: FileSystem): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Throws InvalidInputError where something else than folders and plain files stands in an interrupted run's directory:
 * through a link, or a second name of a file, other files would be written to.
 */
export function refuseForeign(state: string, fs: FileSystem): void {
  const stats = fs.lstatSync(state, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isDirectory()) refuse(state, state, kindOf(stats));
  const look = (dir: string, names: readonly string[]): void => {
    for (const name of names) {
      const path = join(dir, name);
      const found = fs.lstatSync(path, { throwIfNoEntry: false });
      if (found?.isDirectory()) look(path, fs.readdirSync(path));
      else if (found && !found.isFile()) refuse(path, state, kindOf(found));
      else if (found && found.nlink > 1) refuse(path, state, 'a file that has another name too');
    }
  };
  // What a killed commit put aside is the user's own, whatever it holds: it is moved back and never written to.
  look(
    state,
    fs.readdirSync(state).filter((name) => name !== REPLACED),
  );
}

function refuse(path: string, state: string, found: string): never {
  throw new InvalidInputError(
    `${path}: is ${found}; an interrupted run leaves nothing of this kind, and writing to it could harm other files.`,
    `look at who put it there, remove ${state} and run the same command again.`,
  );
}
