import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
// The parts of oclif that starting takes; its index would load all of it.
import { run } from '@oclif/core/run';

/** Commands that run a model: ONNX Runtime may end the process, and operators keep the main thread busy. */
const RUN_MODELS = ['verify', 'generate', 'bench', 'calibrate'];

/** Commands whose work is opening a model, on the main thread; those that write leave theirs to workers, and end at once. */
const OPEN_MODELS = ['inspect'];
/** Smaller inputs are opened within a second: a child, which takes some 0.2 seconds to start, would not be noticed. */
const LARGE = 16 * 2 ** 20;

/** Whether a file that is named, or the files of a folder that is, are so large that opening them may take a while. */
function namesLargeInput(words: readonly string[]): boolean {
  const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return words.some((word) => {
    try {
      const found = word.startsWith('-') ? undefined : statSync(word, { throwIfNoEntry: false });
      if (!found?.isDirectory()) return (found?.size ?? 0) > LARGE;
      return readdirSync(word).reduce((sum, name) => sum + sizeOf(join(word, name)), 0) > LARGE;
    } catch {
      // Whatever it is, the command says it.
      return false;
    }
  });
}

const isGuarded = ([command = '', ...words]: readonly string[]): boolean =>
  RUN_MODELS.includes(command) || (OPEN_MODELS.includes(command) && namesLargeInput(words));

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
  const guard = isChild || isGuarded(given) ? await import('./guard.js') : undefined;
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
