import { type ChildProcess, spawn } from 'node:child_process';
import { InterruptedError } from './core/errors.js';
import { describeFailure, printFailure } from './report/failure.js';
import { endedByRuntime } from './report/runtime-death.js';

/** Set in the child, which finds its arguments in its first message. */
const CHILD = 'HALFBYTE_GUARDED';
/** How long a command may take to put things in order after a signal. */
const GRACE_MS = 800;

/**
 * Runs a command in a child process and ends as it ends. A death of the child in native code becomes a failure that is
 * told, a signal ends it within a second whatever it does, and its own command line is short, however long a prompt is:
 * ONNX Runtime reads it.
 */
export async function runGuarded(program: string, argv: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, program], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [CHILD]: '1' },
  });
  const ended = endOf(child);
  // Without a process, where descriptors or memory are few, there is no channel: its error says why.
  if (child.pid !== undefined) child.send(argv);
  let asked: NodeJS.Signals | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // A second one: do not wait.
      if (asked !== undefined) child.kill('SIGKILL');
      else setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
      asked = signal;
      child.kill(signal);
    });
  }
  let error: unknown;
  try {
    const [code, signal] = await ended;
    if (code !== null) return code;
    error = asked === undefined ? endedByRuntime(argv, signal ?? '') : new InterruptedError(`Interrupted by ${asked}.`);
  } catch (notStarted) {
    error = notStarted;
  }
  const failure = describeFailure(error);
  printFailure(failure, isJson(argv));
  return failure.code;
}

/**
 * In the child: the arguments that the parent has sent; without the parent there is nobody to work for. Undefined in a
 * process that is no child of `runGuarded`.
 */
export async function guardedArguments(): Promise<string[] | undefined> {
  if (process.env[CHILD] === undefined || process.send === undefined) return undefined;
  delete process.env[CHILD];
  const argv = await new Promise<string[]>((resolve) => process.once('message', (sent) => resolve(sent as string[])));
  process.on('disconnect', () => process.exit(130));
  process.channel?.unref();
  return argv;
}

const endOf = (child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> =>
  new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve([code, signal]));
  });

const isJson = (argv: readonly string[]): boolean =>
  (argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv).includes('--json');
