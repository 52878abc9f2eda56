// The parts of oclif that starting takes; its index would load all of it.
import { run } from '@oclif/core/run';

/** Ends the process as its failure says: the one place for what no command catches. */
async function fail(error: unknown): Promise<void> {
  const { endFailed } = await import('./report/failure.js');
  endFailed(error, process.argv.slice(2));
}

/** Ends the process when what was printed has left: left to itself Node frees its memory piece by piece, for 30 ms. */
function end(): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit()));
}

/** Runs the command line. `program` is the URL of bin/run.js, above which oclif finds package.json. */
export async function start(program: string): Promise<void> {
  process.on('uncaughtException', fail);
  await run(process.argv.slice(2), program).then(end, fail);
}
