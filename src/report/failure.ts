import { existsSync, readFileSync } from 'node:fs';
import { HalfbyteError } from '../core/errors.js';
import { nearest } from '../core/nearest.js';
import { own } from '../core/own.js';
import { printable } from '../core/printable.js';

/** A failed command as it is told to the user; `code` is the exit code. */
export interface Failure {
  code: number;
  name: string;
  message: string;
  advice?: string | undefined;
  /** For defects only, and shown only when debugging. */
  stack?: string | undefined;
}

/** Node's system errors that a person can do something about, by code: what it means, what to do, the exit code. */
const SYSTEM_ERRORS: Record<string, [meaning: string, advice: string | undefined, code: 3 | 4]> = own({
  ENOSPC: ['the disk is full', 'free some space, or write to another disk, and run the same command again', 4],
  EDQUOT: ['the disk quota is used up', 'free some space, or write to another disk', 4],
  EACCES: ['permission denied', 'check the permissions of the file and its folders', 4],
  EPERM: ['the operation is not permitted', 'check the permissions of the file and its folders', 4],
  EROFS: ['the file system is read-only', 'write to another folder with -o', 4],
  EMFILE: ['too many open files', 'raise the limit with ulimit -n', 4],
  ENFILE: ['the system has too many open files', 'close other programs', 4],
  EIO: [
    'the disk or network drive reports an input/output error',
    'check the drive, then run the same command again',
    4,
  ],
  ENOMEM: ['there is not enough memory', 'lower --max-memory or --workers', 4],
  EBUSY: ['the file is in use', 'close the program that uses it', 4],
  ENOENT: ['there is no such file or folder', undefined, 3],
  ENOTDIR: ['a part of the path is not a folder', undefined, 3],
  EISDIR: ['this is a folder, a file was expected', undefined, 3],
});

/**
 * Turns whatever a command threw into what the user is told, with the exit codes of `core/errors.ts`. `commands` are
 * the names that an unknown one may be a misspelling of, `flags` the same for a flag, with their dashes.
 */
export function describeFailure(
  error: unknown,
  help = 'halfbyte --help',
  commands: readonly string[] = [],
  flags: readonly string[] = [],
): Failure {
  if (error instanceof HalfbyteError) {
    return { code: error.exitCode, name: error.name, message: error.message, advice: error.advice };
  }
  const { message, stack, code, syscall, path, oclif } = asError(error);
  if (oclif) {
    // Unknown flags, missing arguments, bad values; oclif appends its own line about --help.
    const said = message.replace(/\n?See more help with --help/, '').trim();
    const [, unknown] = /^command (\S+) not found$/.exec(said) ?? [];
    if (unknown) return unknownCommand(unknown, commands);
    const [, flag] = /^Nonexistent flags?: (-\S+)/.exec(said) ?? [];
    const meant = flag === undefined ? undefined : nearest(flag.replace(/=.*/, ''), flags);
    return { code: 2, name: 'UsageError', message: meant ? `${said}. Did you mean "${meant}"?` : said, advice: help };
  }
  if (typeof code === 'string' && typeof syscall === 'string') {
    const [meaning, advice, exitCode] = SYSTEM_ERRORS[code] ?? [message, undefined, 4];
    const where = path === undefined ? '' : `${path}: `;
    const name = exitCode === 3 ? 'InvalidInputError' : 'EnvironmentError';
    return { code: exitCode, name, message: `${where}${meaning} (${code} on ${syscall}).`, advice };
  }
  // Of buffers, and of WebAssembly where the address space is limited.
  if (error instanceof RangeError && /allocation failed|Out of memory|Cannot allocate/.test(message)) {
    const [meaning, advice] = SYSTEM_ERRORS.ENOMEM;
    return { code: 4, name: 'EnvironmentError', message: `${meaning} (${message}).`, advice };
  }
  const advice = 'report this with the command line; HALFBYTE_DEBUG=1 shows where it happened';
  return { code: 4, name: 'InternalError', message: `internal error: ${message}`, advice, stack };
}

/** `id` is the words before the first flag, which oclif joins by colons. */
function unknownCommand(id: string, commands: readonly string[]): Failure {
  const [first] = id.split(':');
  const word = commands.includes(first) ? id : first;
  const meant = nearest(first, commands);
  const message = `there is no command "${word}".${meant ? ` Did you mean "${meant}"?` : ''}`;
  return { code: 2, name: 'UsageError', message, advice: meant ? `halfbyte ${meant} --help` : 'halfbyte --help' };
}

function asError(error: unknown): NodeJS.ErrnoException & { oclif?: { exit?: number } } {
  return error instanceof Error ? error : new Error(String(error));
}

/** Prints a failure: one JSON object on stdout under `--json`, with what was noted before, else message and advice on stderr. */
export function printFailure(failure: Failure, json: boolean, notes: readonly string[] = []): void {
  const { stack, ...told } = failure;
  if (json) {
    process.stdout.write(`${JSON.stringify({ error: told, notes }, null, 2)}\n`);
    return;
  }
  const lines = [failure.message];
  if (failure.advice) lines.push(`Try this: ${failure.advice}`);
  if (stack && (process.env.HALFBYTE_DEBUG || process.env.DEBUG)) lines.push(stack);
  process.stderr.write(`${printable(lines.join('\n'))}\n`);
}

/**
 * Ends the program after an error that left the command line: unknown commands, a failure to load, an exception that
 * nothing caught. Errors of commands arrive here printed already, with only their exit code left to set. `manifest` is
 * oclif's, where there is one.
 */
export function endFailed(error: unknown, argv: readonly string[], manifest?: URL): void {
  const { code, oclif } = asError(error);
  let exitCode = oclif?.exit ?? 4;
  if (code !== 'EEXIT') {
    const failure = describeFailure(error, undefined, manifest && commandsOf(manifest));
    exitCode = failure.code;
    const ownArguments = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
    printFailure(failure, ownArguments.includes('--json'));
  }
  process.exitCode = exitCode;
  // Waits until what was printed has left; work still under way (threads, timers) must not delay the end.
  process.stdout.write('', () => process.exit(exitCode));
}

/** Names of the commands; none where the manifest has not been made yet. */
function commandsOf(manifest: URL): string[] {
  return existsSync(manifest) ? Object.keys(JSON.parse(readFileSync(manifest, 'utf8')).commands) : [];
}
