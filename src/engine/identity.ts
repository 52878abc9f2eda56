import { createHash } from 'node:crypto';
import { join, sep } from 'node:path';
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
  const inputs = files.map((file) => [file, Math.round(modifiedAt(join(dir, file.name), fs))]);
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

function modifiedAt(path: string, fs: FileSystem): number {
  try {
    return fs.statSync(path).mtimeMs;
  } catch {
    // Reading it will say what is wrong.
    return 0;
  }
}
