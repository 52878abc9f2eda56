import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import { commandLine } from '../src/core/command-line.js';
import type { MergeResult } from '../src/stages/merge.js';

/** Parts of a package -> package. */
export default class Merge extends HalfbyteCommand {
  static override summary = 'Finish a package whose parts were written with convert or quantize --shard.';
  static override description =
    'Checks that every part is there and unharmed, then writes graphs and manifest and gives the package its name. ' +
    'The result equals that of one undivided conversion byte for byte.';

  static override examples = [
    {
      description: 'three parts, at once or on three machines that share a directory, then the package',
      command: '<%= config.bin %> convert ./model -o ./out --shard 1/3\n<%= config.bin %> merge ./out',
    },
  ];

  static override args = {
    directory: Args.string({ description: 'the -o of the conversions', required: true }),
  };

  static override flags = {
    workers: Flags.integer({ min: 0, description: 'worker threads that check the parts [default: one a core]' }),
    'max-memory': Flags.string({ description: 'ceiling of memory, as 200MiB or 1GB' }),
    gate: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: "a demand of a quantized checkpoint, as 'sqnr_db>18'",
    }),
    report: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'file for the error report of a quantized checkpoint, .html or .json',
    }),
    force: Flags.boolean({ description: 'replace a package or checkpoint that halfbyte wrote there' }),
  };

  async run(): Promise<MergeResult> {
    const { args, flags } = await this.parse(Merge);
    const { describeMerge, merge } = await import('../src/stages/merge.js');
    const settings = {
      force: flags.force,
      workers: this.threads('--workers', flags.workers),
      maxMemory: flags['max-memory'],
      gates: flags.gate,
      reports: flags.report,
      reproduce: commandLine(['halfbyte', 'merge', ...this.argv], { report: 'value', json: 'flag', quiet: 'flag' }),
    };
    const result = await merge(args.directory, settings, this.progress('Merging'), this.signal);
    if (result.report?.verdict === 'fail') this.exitCode = 1;
    this.log(describeMerge(result));
    return result;
  }
}
