import * as Args from '@oclif/core/args';
import { HalfbyteCommand } from '../src/command.js';
import type { Listing } from '../src/stages/list.js';

/** Says what names there are for --target, --layout, --weights and the like. */
export default class List extends HalfbyteCommand {
  static override summary = 'List targets, layouts, schemes, architectures or metrics.';
  static override examples = ['<%= config.bin %> list layouts', '<%= config.bin %> list schemes --json'];
  static override args = {
    what: Args.string({ description: 'targets, layouts, schemes, architectures or metrics', required: true }),
  };

  async run(): Promise<Listing> {
    const { args } = await this.parse(List);
    const { describeList, list } = await import('../src/stages/list.js');
    const found = await list(args.what);
    this.log(describeList(found));
    return found;
  }
}
