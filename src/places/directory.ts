import { accessSync, constants, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { UsageError } from '../core/errors.js';
import { LARGEST } from '../formats/input-file.js';
import { MANIFEST } from '../formats/manifest.js';
import { readJsonObject } from '../formats/text.js';
import { checkWritable } from './writable.js';

/** What an output directory may become: made, filled, or replaced once the new one is complete. */
export type DirectoryState = 'absent' | 'empty' | 'ours';

export interface DirectoryDemand {
  /** Replace what halfbyte wrote there. */
  force: boolean;
  /** Files and directories that must stay: the output may not be one of them nor hold one. */
  inputs: readonly string[];
}

/** Names of strangers that a message shows. */
const SHOWN = 3;

/** Ending of the directory in which a package grows, beside its place or inside of it. */
export const GROWING = '.halfbyte-tmp';
/** In that directory: the package is complete and is being moved into its place. */
export const COMPLETE = 'complete';

/**
 * The place that `-o` names, links followed, and what stands there. A package or checkpoint may be written where nothing
 * is, into an empty directory and, with `force`, in place of a directory that holds what its own halfbyte.json lists and
 * nothing else. Throws UsageError that names the place for everything else, forced or not.
 */
export function outputDirectory(output: string, demand: DirectoryDemand): { path: string; state: DirectoryState } {
  const path = outputPath(output);
  checkInputs(output, path, demand.inputs);
  const found = isThere(path) ? statSync(path) : undefined;
  if (!found) return { path, state: 'absent' };
  if (!found.isDirectory()) {
    const what = found.isFile() ? 'is a file' : 'is no folder';
    throw refusal(output, `${what}; a folder is written, and --force replaces no file`, 'another -o.');
  }
  const standing = standingOf(path);
  if (standing) throw refusal(output, `is ${standing}`, 'name a new folder inside it, as -o ./model-int4.');
  if (readdirSync(path).every((name) => name === GROWING) || isBeingFilled(path)) return { path, state: 'empty' };
  if (isMountPoint(path)) {
    throw refusal(output, 'is a mount point and not empty', 'name a new folder inside it.');
  }
  const strangers = strangersIn(path);
  if (strangers === null) {
    throw refusal(
      output,
      `exists, and has no ${MANIFEST} that says that halfbyte wrote it`,
      'another -o, or move it away.',
    );
  }
  if (strangers.length > 0) {
    const more = strangers.length > SHOWN ? ' and more' : '';
    const named = strangers
      .slice(0, SHOWN)
      .map((name) => JSON.stringify(name))
      .join(', ');
    throw refusal(
      output,
      `exists, and holds ${named}${more}, which its ${MANIFEST} does not list`,
      'another -o, or move them away.',
    );
  }
  if (!demand.force) {
    throw new UsageError(
      `${output}: the output exists already.`,
      '--force to replace it once the new one is complete, or another -o.',
    );
  }
  if (isFilledInPlace(path)) {
    throw refusal(
      output,
      `cannot be replaced as a whole, for ${dirname(path)} cannot be written to`,
      'take its files away first, or another -o.',
    );
  }
  return { path, state: 'ours' };
}

/** The directory that `-o` names, links followed. Throws UsageError where it names nothing. */
export function outputPath(output: string): string {
  if (output !== '') return realPlace(output);
  throw new UsageError('-o is empty.', 'name a new folder, as -o ./model-int4; a variable in its place may be unset.');
}

/**
 * Checks the place of a package or checkpoint before the work: as `outputDirectory` does, and that the system lets us write
 * there, else EnvironmentError.
 */
export function checkOutputDirectory(output: string, demand: DirectoryDemand): void {
  const { path, state } = outputDirectory(output, demand);
  checkWritable(state !== 'absent' && isFilledInPlace(path) ? path : dirname(path), `-o ${output}`);
}

const refusal = (output: string, found: string, advice: string): UsageError =>
  new UsageError(`${output}: ${found}: it is left as it is, with --force too.`, advice);

/** The path that a place has when links are followed; the part of it that does not exist is as it is written. */
export function realPlace(path: string): string {
  const whole = resolve(path);
  if (isThere(whole)) {
    try {
      return realpathSync(whole);
    } catch {
      throw refusal(path, 'is a link that leads nowhere', 'remove the link, or give another place.');
    }
  }
  const parent = dirname(whole);
  return parent === whole ? whole : join(realPlace(parent), relative(parent, whole));
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    // Below a file: the check of the folder says so.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw error;
  }
}

/** Whether `path` is `folder` or lies in it; both real. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way));
}

function checkInputs(output: string, path: string, inputs: readonly string[]): void {
  for (const input of inputs) {
    if (isInside(realPlace(input), path)) {
      throw new UsageError(`${output}: the output would replace its own input ${input}.`, 'another directory as -o.');
    }
  }
}

/** What a directory is to the one who started us where that must never be replaced, however little is in it. */
function standingOf(path: string): string | undefined {
  const here = realpathSync(process.cwd());
  if (path === here) return 'the current directory';
  if (isInside(here, path)) return 'a parent of the current directory';
  const home = realPlace(homedir());
  if (path === home) return 'your home directory';
  if (isInside(home, path)) return 'a parent of your home directory';
  return undefined;
}

/** The calls by which places are looked at; tests bring their own to make a mount point. */
export interface LookingCalls {
  statSync: (path: string) => { dev: number };
  accessSync: (path: string, mode: number) => void;
}

/**
 * Whether a directory can be filled and not replaced: a mount point, as `docker run -v` makes one, or a folder in one that
 * cannot be written to.
 */
export function isFilledInPlace(path: string, calls: LookingCalls = { statSync, accessSync }): boolean {
  if (isMountPoint(path, calls)) return true;
  try {
    calls.accessSync(dirname(path), constants.W_OK);
    return false;
  } catch {
    return true;
  }
}

function isMountPoint(path: string, calls: Pick<LookingCalls, 'statSync'> = { statSync }): boolean {
  if (path === dirname(path) || calls.statSync(path).dev !== calls.statSync(dirname(path)).dev) return true;
  try {
    // A folder mounted from the same disk: field 5, where white space is octal.
    const mounted = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    return mounted.some(
      (line) =>
        line.split(' ')[4]?.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8))) ===
        path,
    );
  } catch {
    return false;
  }
}

/** Whether a run was killed while it moved its package into a place that can only be filled, and nothing else is there. */
function isBeingFilled(path: string): boolean {
  const state = join(path, GROWING);
  if (!isThere(join(state, COMPLETE))) return false;
  const listed = listedFiles(path) ?? listedFiles(join(state, 'package'));
  return listed !== undefined && readdirSync(path).every((name) => name === GROWING || startsListed(name, listed));
}

/** Whether a name is a file of the list or a folder on the way to one. */
const startsListed = (name: string, listed: ReadonlySet<string>): boolean =>
  [...listed].some((file) => file.split('/')[0] === name);

/** Files below a package that its manifest does not list, a few at most; null where no manifest of ours is there. */
function strangersIn(path: string): string[] | null {
  const listed = listedFiles(path);
  if (!listed) return null;
  const strangers: string[] = [];
  const folders = new Set([...listed].flatMap(foldersOf));
  const look = (folder: string, prefix: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (strangers.length > SHOWN) return;
      const name = prefix + entry.name;
      if (entry.isDirectory() && folders.has(name)) look(join(folder, entry.name), `${name}/`);
      else if (entry.isDirectory() || !listed.has(name)) strangers.push(name);
    }
  };
  look(path, '');
  return strangers;
}

/** The folders on the way to a file of a package: `a` and `a/b` for `a/b/c`. */
function foldersOf(name: string): string[] {
  const steps = name.split('/').slice(0, -1);
  return steps.map((_, depth) => steps.slice(0, depth + 1).join('/'));
}

/** The manifest and the files that it lists; undefined where there is none that can be read as one of ours. */
function listedFiles(path: string): ReadonlySet<string> | undefined {
  let stated: { tool?: unknown; files?: unknown } | undefined;
  try {
    stated = readJsonObject(join(path, MANIFEST), LARGEST.lists);
  } catch {
    return undefined;
  }
  const { tool, files } = stated ?? {};
  if ((tool as { name?: unknown } | undefined)?.name !== 'halfbyte' || !Array.isArray(files)) return undefined;
  const names = files.map((file) => (file as { name?: unknown } | null)?.name);
  return new Set([MANIFEST, ...names.filter((name): name is string => typeof name === 'string')]);
}
