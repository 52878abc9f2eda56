import { readFileSync } from 'node:fs';
import { EnvironmentError, type HalfbyteError, InvalidInputError, VerificationError } from '../core/errors.js';

/** Fewer than a process needs that loads ONNX Runtime. */
const LEAST_FILES = 64;

/** Commands that load no ONNX Runtime. */
const OPEN_ONLY = ['inspect'];

/**
 * The failure of a command whose process was ended in native code by `signal`: a limit of the system where there is one
 * that explains it, else a package that ONNX Runtime cannot run, which is what `verify` is asked to find out.
 */
export function endedByRuntime(
  argv: readonly string[],
  signal: string,
  allowed: Readonly<Record<string, number>> = limits(),
): HalfbyteError {
  const [command = '', path = ''] = argv;
  const runsModel = !OPEN_ONLY.includes(command);
  const how = `the process that ${runsModel ? 'ran' : 'read'} the model was ended by ${signal}`;
  if (allowed['Max address space'] > 0) {
    return new EnvironmentError(`${how}; ulimit -v leaves it too little memory.`, 'raise it: ulimit -v unlimited.');
  }
  if (allowed['Max open files'] < LEAST_FILES) {
    return new EnvironmentError(`${how}; ulimit -n leaves it too few files.`, 'raise it: ulimit -n 1024.');
  }
  if (signal === 'SIGKILL') {
    return new EnvironmentError(
      `${how}, by the system where memory ran out.`,
      'close other programs, or give it more memory.',
    );
  }
  if (!runsModel) {
    // Node itself ends so where its heap is full.
    return new EnvironmentError(`${how}.`, 'run the same command again; if it ends so again, give it more memory.');
  }
  const found = `${path}: ${how}: ONNX Runtime cannot run a graph of this package.`;
  const advice = 'the graph is damaged: copy the package again, or convert the checkpoint again.';
  return command === 'verify' ? new VerificationError(`FAIL  ${found}`, advice) : new InvalidInputError(found, advice);
}

/** What the system allows this process, by the names of /proc; nothing where it does not tell. */
function limits(): Record<string, number> {
  try {
    const lines = readFileSync('/proc/self/limits', 'utf8').split('\n');
    return Object.fromEntries(lines.map((line) => [line.slice(0, 26).trim(), Number.parseInt(line.slice(26), 10)]));
  } catch {
    return {};
  }
}
