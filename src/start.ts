import { fileURLToPath } from 'node:url';
// The parts of oclif that starting takes; its index would load all of it.
import { run } from '@oclif/core/run';

/** Commands that run a model: ONNX Runtime may end the process, and operators keep the main thread busy. */
const RUN_MODELS = ['verify', 'generate', 'bench', 'calibrate'];

/** The command whose work is opening a model, on the main thread; those that write leave theirs to workers. */
const OPENS_MODELS = 'inspect';

async function isGuarded([command = '', ...words]: readonly string[]): Promise<boolean> {
  if (command !== OPENS_MODELS) return RUN_MODELS.includes(command);
  const { namesLargeInput } = await import('./places/large-input.js');
  return namesLargeInput(words);
}

/** Ends the process when what was printed has left: left to itself Node frees its memory piece by piece, for 30 ms. */
function end(): void {
  process.stdout.write('', (error) => {
    const { code } = (error ?? {}) as NodeJS.ErrnoException;
    const isLost = code !== undefined && code !== 'EPIPE';
    const text = isLost ? `stdout: cannot be written (${code}).\nTry this: check where it goes to.\n` : '';
    process.stderr.write(text, () => process.exit(isLost ? 4 : undefined));
  });
}

/** `help`, `help convert` and `version` as the flags that they stand for. */
function asFlags([first, ...rest]: string[]): string[] {
  if (first === 'help') return [...rest.filter((word) => !word.startsWith('-')), '--help'];
  if (first === 'version') return ['--version'];
  return first === undefined ? [] : [first, ...rest];
}

/** Runs the command line. `program` is the URL of bin/run.js, above which oclif finds package.json and its manifest. */
export async function start(program: string): Promise<void> {
  const given = process.argv.slice(2);
  // Loaded where a model is run: other commands should not start slower for it.
  const isChild = process.env.HALFBYTE_GUARDED !== undefined;
  const guard = isChild || (await isGuarded(given)) ? await import('./guard.js') : undefined;
  const sent = await guard?.guardedArguments();
  if (guard && !sent) {
    process.exitCode = await guard.runGuarded(fileURLToPath(program), given);
    process.stdout.write('', () => process.exit());
    return;
  }
  const argv = asFlags(sent ?? given);
  // The one place for what no command catches.
  const fail = async (error: unknown): Promise<void> => {
    const { endFailed } = await import('./report/failure.js');
    endFailed(error, argv, new URL('../oclif.manifest.json', program));
  };
  process.once('uncaughtException', fail);
  await run(argv, program).then(end, fail);
}
