import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import type { Inspection } from '../src/stages/inspect.js';

/** Says what a checkpoint or a package holds. */
export default class Inspect extends HalfbyteCommand {
  static override summary = 'Show what a checkpoint or a package holds.';
  static override description =
    'For a checkpoint: tensors, dtypes, parameters, architecture, and whether every weight is used. ' +
    'For a package: graphs, operators, schemes, sizes. For another folder: which of both lie below it. Reads headers only. With --lint the graphs of a package, of any ' +
    'tool, are held to the rules of a device; exit code 1 where one is broken that the device insists on.';

  static override examples = [
    '<%= config.bin %> inspect ./DeepSeek-R1-Distill-Qwen-1.5B',
    '<%= config.bin %> inspect ./r1-int4 --json',
    {
      description: 'what Qualcomm’s NPU would refuse, run elsewhere or get wrong',
      command: '<%= config.bin %> inspect ./r1-npu --lint qnn',
    },
  ];

  static override args = {
    path: Args.string({ description: 'directory of a checkpoint or a package', required: true }),
  };

  static override flags = {
    tensors: Flags.boolean({ description: 'list every tensor, where there are more than 200, too' }),
    lint: Flags.string({
      description:
        'hold a package to the rules of a device (qnn, openvino, vitisai), or of ONNX Runtime GenAI alone (genai)',
    }),
  };

  async run(): Promise<Inspection> {
    const { args, flags } = await this.parse(Inspect);
    const { describeInspection, inspect } = await import('../src/stages/inspect.js');
    const found = await inspect(args.path, flags.lint);
    if (found.kind === 'lint' && found.errors > 0) this.exitCode = 1;
    this.log(describeInspection(found, flags.tensors));
    return found;
  }
}
