import { Args } from '@oclif/core';
import { HalfbyteCommand } from '../src/command.js';
import type { Inspection } from '../src/stages/inspect.js';

/** Says what a checkpoint or a package holds. */
export default class Inspect extends HalfbyteCommand {
  static override summary = 'Show what a checkpoint or a package holds.';
  static override description =
    'For a checkpoint: tensors, dtypes, parameters, architecture, and whether every weight is used. ' +
    'For a package: graphs, operators, schemes, sizes. Reads headers only.';

  static override examples = [
    '<%= config.bin %> inspect ./DeepSeek-R1-Distill-Qwen-1.5B',
    '<%= config.bin %> inspect ./r1-int4 --json',
  ];

  static override args = {
    path: Args.string({ description: 'directory of a checkpoint or a package', required: true }),
  };

  async run(): Promise<Inspection> {
    const { args } = await this.parse(Inspect);
    const { describeInspection, inspect } = await import('../src/stages/inspect.js');
    const found = await inspect(args.path);
    this.log(describeInspection(found));
    return found;
  }
}
