// The parts of oclif that starting takes; its index would load all of it.
import { run } from '@oclif/core/run';

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
  const argv = asFlags(process.argv.slice(2));
  // The one place for what no command catches.
  const fail = async (error: unknown): Promise<void> => {
    const { endFailed } = await import('./report/failure.js');
    endFailed(error, argv, new URL('../oclif.manifest.json', program));
  };
  process.once('uncaughtException', fail);
  await run(argv, program).then(end, fail);
}
