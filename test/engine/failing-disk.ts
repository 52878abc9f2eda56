import { type FileSystem, realFileSystem } from '../../src/sources/file-system.js';

/** What a system call fails with. */
export const systemError = (code: string, syscall: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: simulated, ${syscall}`), { code, syscall });

/** The process is gone: nothing that it would still do has an effect. */
export class Killed extends Error {}

const CHANGES = [
  'writeSync',
  'ftruncateSync',
  'mkdirSync',
  'writeFileSync',
  'copyFileSync',
  'renameSync',
  'rmSync',
] as const;

/**
 * A file system on which the process is killed at the n-th call (from 1) that changes something; a write is cut off
 * in its middle. `calls` counts them.
 */
export class KillingDisk {
  calls = 0;
  readonly fs: FileSystem;

  constructor(readonly killAt: number) {
    const fs = { ...realFileSystem } as Record<string, unknown>;
    for (const name of CHANGES) {
      const real = realFileSystem[name] as (...args: unknown[]) => unknown;
      fs[name] = (...args: unknown[]) => {
        this.calls++;
        if (this.calls === this.killAt && name === 'writeSync') {
          const [descriptor, view, offset, length, position] = args as [
            number,
            Uint8Array,
            number,
            number,
            number | null,
          ];
          realFileSystem.writeSync(descriptor, view, offset, Math.floor(length / 2), position);
        }
        if (this.calls >= this.killAt) throw new Killed(`killed at ${name}`);
        return real(...args);
      };
    }
    this.fs = fs as unknown as FileSystem;
  }
}

/** A file system whose call `name` fails from the n-th time on that `when` holds. */
export function failingDisk<N extends keyof FileSystem>(
  name: N,
  error: NodeJS.ErrnoException,
  from = 1,
  when: (...args: Parameters<FileSystem[N] & ((...all: never[]) => unknown)>) => boolean = () => true,
): FileSystem {
  let calls = 0;
  const real = realFileSystem[name] as (...args: unknown[]) => unknown;
  const failing = (...args: unknown[]) => {
    if (when(...(args as never)) && ++calls >= from) throw error;
    return real(...args);
  };
  return { ...realFileSystem, [name]: failing };
}
