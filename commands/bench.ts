import { string as stringArgument } from '@oclif/core/args';
import { integer } from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import type { BenchResult } from '../src/stages/bench.js';

export default class Bench extends HalfbyteCommand {
  static override description =
    'Time a package: load time, time to first token, prefill and decode tokens per second, peak memory.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> union-int4',
    '<%= config.bin %> <%= command.id %> qwen-int4 --prompt-tokens 512 --new-tokens 128 --runs 10 --json',
  ];
  static override args = {
    package: stringArgument({ required: true, description: 'Directory of the package, as halfbyte convert wrote it.' }),
  };
  static override flags = {
    'prompt-tokens': integer({ default: 128, min: 1, description: 'Length of the prompt.' }),
    'new-tokens': integer({ default: 64, min: 2, description: 'Tokens decoded after it.' }),
    runs: integer({ default: 5, min: 1, description: 'Runs that count; one more warms up before them.' }),
    threads: integer({ min: 1, description: 'Threads of the runtime. Default: one a physical core.' }),
  };

  async run(): Promise<BenchResult> {
    const { args, flags } = await this.parse(Bench);
    const { bench, describeBench } = await import('../src/stages/bench.js');
    const result = await bench({
      package: args.package,
      promptTokens: flags['prompt-tokens'],
      newTokens: flags['new-tokens'],
      runs: flags.runs,
      threads: this.threads('--threads', flags.threads),
      signal: this.signal,
      onRun: (run, runs) => this.say(run === 0 ? 'warmed up' : `run ${run} of ${runs}`),
    });
    this.log(describeBench(result));
    return result;
  }
}
