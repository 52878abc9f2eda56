import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { EnvironmentError } from '../core/errors.js';
import type { FileSystem } from '../sources/file-system.js';

/** How often an owner touches its lock, and after how long without a touch an owner on another machine counts as dead. */
const TOUCH_SECONDS = 10;
const DEAD_AFTER_SECONDS = 60;

/** How often, and after how many milliseconds, a lock that cannot be read is read again: its owner may be writing it. */
const READ_TRIES = 10;
const READ_PAUSE = 20;

/** A lock has some 100 bytes. */
const LARGEST_LOCK = 4096;

const heldHere = new Set<string>();

interface Owner {
  pid: number;
  host: string;
  token: string;
}

/**
 * Takes the lock file `path`, so that two processes do not write the same part of a package. The lock of an owner that
 * died is taken over: one on this machine without its process, one elsewhere that was not touched for a minute.
 * Throws EnvironmentError while the owner lives. Returns the function that gives the lock back.
 */
export function takeLock(path: string, what: string, fs: FileSystem): () => void {
  const owner: Owner = { pid: process.pid, host: hostname(), token: randomBytes(8).toString('hex') };
  const text = JSON.stringify(owner);
  for (let attempt = 0; ; attempt++) {
    try {
      // The folder too: another process may have ended and taken it away.
      fs.mkdirSync(dirname(path), { recursive: true });
      fs.writeFileSync(path, text, { flag: 'wx' });
      break;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EEXIST' && !(code === 'ENOENT' && attempt <= 8)) throw error;
      if (code === 'ENOENT') continue;
    }
    const found = readWrittenOwner(path, fs);
    if ((found && isAlive(path, found, fs)) || attempt > 8) throw busy(path, what, found);
    removeDead(path, found, fs);
  }
  heldHere.add(owner.token);
  const timer = setInterval(() => touch(path, fs), TOUCH_SECONDS * 1000);
  timer.unref();
  return () => {
    clearInterval(timer);
    heldHere.delete(owner.token);
    if (readOwner(path, fs)?.token === owner.token) fs.rmSync(path, { force: true });
  };
}

/** Whether a living process holds the lock file `path`. */
export function isLocked(path: string, fs: FileSystem): boolean {
  const found = readOwner(path, fs);
  return found !== undefined && isAlive(path, found, fs);
}

function busy(path: string, what: string, owner: Owner | undefined): EnvironmentError {
  const by = owner ? ` by process ${owner.pid} on ${owner.host}` : '';
  return new EnvironmentError(
    `${what} is being written${by}.`,
    `wait until it has finished or stop it; if it no longer runs, remove ${path}.`,
  );
}

function isAlive(path: string, { pid, host, token }: Owner, fs: FileSystem): boolean {
  if (host !== hostname()) return secondsSinceTouch(path, fs) < DEAD_AFTER_SECONDS;
  // A restarted container gives its process the same number again.
  if (pid === process.pid) return heldHere.has(token);
  try {
    process.kill(pid, 0);
    return !hasEnded(pid, fs);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether a process is dead and only not collected by its parent: in a container without an init it stays so. Linux alone tells. */
function hasEnded(pid: number, fs: FileSystem): boolean {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // pid (name) state: the name may hold anything
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** By the clock of the file system, which all machines share: their own clocks may differ. */
function secondsSinceTouch(path: string, fs: FileSystem): number {
  const probe = `${path}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(probe, '');
    return (fs.statSync(probe).mtimeMs - fs.statSync(path).mtimeMs) / 1000;
  } catch {
    return Infinity;
  } finally {
    fs.rmSync(probe, { force: true });
  }
}

function touch(path: string, fs: FileSystem): void {
  try {
    const now = new Date();
    fs.utimesSync(path, now, now);
  } catch {
    // The lock is gone or the disk away: writing will say so.
  }
}

/** Moves a dead lock away; one that another process took in between is put back. */
function removeDead(path: string, seen: Owner | undefined, fs: FileSystem): void {
  const aside = `${path}.${process.pid}.dead.tmp`;
  try {
    fs.renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = readOwner(aside, fs);
  if (moved && moved.token !== seen?.token) fs.renameSync(aside, path);
  else fs.rmSync(aside, { force: true });
}

/** The owner, waiting a little for one that has made the file and not yet written into it. */
function readWrittenOwner(path: string, fs: FileSystem): Owner | undefined {
  for (let tries = 1; ; tries++) {
    const found = readOwner(path, fs);
    if (found || tries >= READ_TRIES || !fs.existsSync(path)) return found;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, READ_PAUSE);
  }
}

/** Undefined for a lock that is gone, was cut off while it was written, or holds something else. */
function readOwner(path: string, fs: FileSystem): Owner | undefined {
  try {
    // A link or a pipe in its place is no lock.
    const stats = fs.lstatSync(path);
    if (!stats.isFile() || stats.size > LARGEST_LOCK) return undefined;
    const { pid, host, token } = JSON.parse(fs.readFileSync(path, 'utf8')) as Record<keyof Owner, unknown>;
    const isOwner = Number.isSafeInteger(pid) && (pid as number) > 0 && typeof host === 'string';
    return isOwner && typeof token === 'string' ? { pid: pid as number, host, token } : undefined;
  } catch {
    return undefined;
  }
}
