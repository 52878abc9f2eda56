import { dirname, join } from 'node:path';
import { InvalidInputError } from '../core/errors.js';
import { kindOf } from '../formats/input-file.js';
import { COMPLETE, GROWING, isFilledInPlace } from '../places/directory.js';
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

/** In the state: where the files of the package are written. */
export const PACKAGE = 'package';
/** In the state: the plan that shards share. */
export const PLAN = 'plan.json';

/** What a run leaves in its directory besides; `.tmp` and the like follow where a process was killed in between. */
const LEFT = /^(?:(?:lock|journal)-[\w-]+(?:\..*)?|\d+-[\w-]+\.tmp)$/;
const PARTS = new Set([PACKAGE, PLAN, COMPLETE, REPLACED]);
/** Of these one is there as long as there are files of a package: they are made before them and go after them. */
const isWitness = (name: string): boolean => name === PLAN || name === COMPLETE || name.startsWith('journal-');

/** Names of a state, what says whose files these are last. */
export function inOrderOfRemoval(names: readonly string[]): string[] {
  const rank = (name: string): number => (name === COMPLETE ? 2 : isWitness(name) ? 1 : 0);
  return [...names].sort((a, b) => rank(a) - rank(b));
}

/**
 * Throws InvalidInputError where an interrupted run's directory holds what no run leaves there, which would be lost with
 * it, or something else than folders and plain files: through a link, or a second name of a file, other files would be
 * written to.
 */
export function refuseForeign(state: string, fs: FileSystem): void {
  const stats = fs.lstatSync(state, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isDirectory()) refuse(state, state, kindOf(stats));
  refuseStrangers(state, fs);
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

function refuseStrangers(state: string, fs: FileSystem): void {
  // Looked at before the names are: another process may begin or end in between.
  const held = fs.lstatSync(join(state, PACKAGE), { throwIfNoEntry: false });
  const holdsFiles = held?.isDirectory() ? filesOf(join(state, PACKAGE), fs).length > 0 : held !== undefined;
  const names = fs.readdirSync(state);
  const isOurs = names.some(isWitness);
  const strangers = names.filter((name) => {
    if (LEFT.test(name)) return false;
    return isOurs ? !PARTS.has(name) : name !== PACKAGE || holdsFiles;
  });
  if (strangers.length === 0) return;
  throw new InvalidInputError(
    `${join(state, strangers[0] ?? '')}: is nothing that an interrupted run leaves there, and would be lost with what it leaves.`,
    'move it away, and run the same command again.',
  );
}

function filesOf(folder: string, fs: FileSystem): string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function refuse(path: string, state: string, found: string): never {
  throw new InvalidInputError(
    `${path}: is ${found}; an interrupted run leaves nothing of this kind, and writing to it could harm other files.`,
    `look at who put it there, remove ${state} and run the same command again.`,
  );
}
