import { createHash } from 'node:crypto';
import { join, sep } from 'node:path';
import { InvalidInputError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { WritePlan } from '../core/plan.js';
import { VERSION } from '../core/version.js';
import { type FileSystem, realFileSystem } from '../sources/file-system.js';
import { DIGEST_ALGORITHM } from './digest.js';

/** Raised when units or journals change their meaning within a version: old journals are then not continued. */
const JOURNAL_VERSION = 1;

/**
 * Names one piece of work: SHA-256 over version, jobs, options and the input files' names, sizes, header digests and times of
 * change. Paths count from the checkpoint's directory, which machines may mount in different places.
 */
export function identityOf(plan: WritePlan, settings: Json, fs: FileSystem = realFileSystem): string {
  const { dir, files } = plan.checkpoint;
  const inputs = files.map((file) => [file, Math.round(stateOf(join(dir, file.name), fs).mtimeMs)]);
  const prefix = dir.endsWith(sep) ? dir : dir + sep;
  const hash = createHash('sha256');
  const add = (value: unknown) =>
    hash.update(
      JSON.stringify(value, (key, each) =>
        key === 'file' && typeof each === 'string' && each.startsWith(prefix) ? each.slice(prefix.length) : each,
      ),
    );
  add([JOURNAL_VERSION, VERSION, DIGEST_ALGORITHM, settings, plan.options, inputs, plan.files, plan.copies]);
  for (const job of plan.jobs) add(job);
  return hash.digest('hex');
}

/** Sizes and times of change of a plan's input files. */
export type InputTimes = readonly { size: number; mtimeMs: number }[];

export const inputTimes = ({ checkpoint: { dir, files } }: WritePlan, fs: FileSystem): InputTimes =>
  files.map(({ name }) => stateOf(join(dir, name), fs));

/** An input that was written to while it was read. */
export class ChangedInput extends InvalidInputError {}

/** Throws ChangedInput where an input file is not what it was before: what was made is a mixture of two. */
export function refuseChanged(plan: WritePlan, before: InputTimes, fs: FileSystem): void {
  const after = inputTimes(plan, fs);
  for (const [index, { name, size }] of plan.checkpoint.files.entries()) {
    const [was, is] = [before[index], after[index]];
    if (is.size === size && is.size === was.size && is.mtimeMs === was.mtimeMs) continue;
    throw new ChangedInput(
      `${join(plan.checkpoint.dir, name)}: was ${is.size < 0 ? 'removed' : 'written to'} while it was read; what was made of it may be a mixture.`,
      'wait until nothing writes there any more, then run the same command again.',
    );
  }
}

function stateOf(path: string, fs: FileSystem): { size: number; mtimeMs: number } {
  try {
    const { size, mtimeMs } = fs.statSync(path);
    return { size, mtimeMs };
  } catch {
    // Reading it will say what is wrong.
    return { size: -1, mtimeMs: 0 };
  }
}
