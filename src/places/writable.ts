import { mkdirSync, rmdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { formatBytes } from '../core/bytes.js';
import { EnvironmentError, UsageError } from '../core/errors.js';

const CAUSES: Record<string, [found: string, advice: string]> = {
  EACCES: ['permission denied', 'check the permissions of that folder, or write to another one.'],
  EPERM: ['the operation is not permitted', 'check the permissions of that folder, or write to another one.'],
  EROFS: ['the file system is read-only', 'write to another folder.'],
  ENOSPC: ['the disk is full', 'free some space, or write to another disk.'],
  EDQUOT: ['the disk quota is used up', 'free some space, or write to another disk.'],
};

/**
 * Throws where nothing can be made in `folder`, or in the nearest folder above it that exists: UsageError where that is
 * a file, EnvironmentError where the system refuses. Permissions alone do not tell: root passes them, and a read-only
 * disk or /proc refuses all the same, so a folder is made and removed. `what` begins the message, as `-o out`.
 */
export function checkWritable(folder: string, what: string): void {
  const existing = existingFolder(folder, what);
  const probe = join(existing, `.halfbyte-${process.pid}.tmp`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const [found, advice] = CAUSES[code] ?? ['nothing can be written there', 'write to another folder.'];
    throw new EnvironmentError(`${what}: ${existing}: ${found} (${code || message}).`, advice);
  }
}

/** The folder, or the nearest one above it that exists. Throws UsageError where that is no folder. */
function existingFolder(folder: string, what: string): string {
  for (let at = resolve(folder); ; at = dirname(at)) {
    try {
      const found = statSync(at, { throwIfNoEntry: false });
      if (found?.isDirectory()) return at;
      if (found) throw new UsageError(`${what}: ${at} is a file, not a folder.`, 'give another place.');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (error instanceof UsageError) throw error;
      if (code !== 'ENOTDIR')
        throw new EnvironmentError(`${what}: ${at} cannot be looked at (${code}).`, 'check the path.');
    }
  }
}

/** Bytes that may still be written to the disk of a folder; null where its file system does not tell. */
export function freeBytes(folder: string): number | null {
  const { blocks, bavail, bsize } = statfsSync(folder);
  return blocks === 0 ? null : bavail * bsize;
}

/**
 * Throws EnvironmentError where the disk of `folder` has less room than `needed` bytes; says both. File systems that do not
 * tell their size pass.
 */
export function checkFreeSpace(folder: string, needed: number, what: string): void {
  const free = freeBytes(existingFolder(folder, what));
  if (free === null || needed <= free) return;
  throw new EnvironmentError(
    `${what}: ${formatBytes(needed)} (${needed} bytes) are needed, ${formatBytes(free)} (${free} bytes) are free on that disk.`,
    'free some space, or write to another disk.',
  );
}

/** Makes the folder that a file is written to. */
export const makeFolderOf = (file: string): void => void mkdirSync(dirname(file), { recursive: true });

/** Bytes that files of `folder` hold on the disk already, of each at most what is planned; 0 of those that are missing. */
export function bytesInPlace(folder: string, files: readonly { name: string; nbytes: number }[]): number {
  return files.reduce((sum, { name, nbytes }) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return sum + Math.min(nbytes, (found?.blocks ?? 0) * 512);
  }, 0);
}
