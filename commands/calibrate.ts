import { string as stringArgument } from '@oclif/core/args';
import { boolean, integer, string } from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import type { CalibrateResult } from '../src/stages/calibrate.js';

/** Checkpoint and text -> calibration. */
export default class Calibrate extends HalfbyteCommand {
  static override summary = 'Measure the ranges of a model’s activations on text.';
  static override description =
    'Runs the checkpoint in full precision, layer by layer with its weights streamed, and records minimum, maximum and ' +
    'percentiles of every activation that an NPU package quantizes, and the second moment of every linear input ' +
    'channel. "convert --calibration" takes the file. The text should be like that which the model will see.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> ./DeepSeek-R1-Distill-Qwen-1.5B --text corpus.txt -o calibration.safetensors',
    {
      description: 'and the package that is made with it',
      command:
        '<%= config.bin %> convert ./DeepSeek-R1-Distill-Qwen-1.5B -o ./r1-npu --target qnn --calibration calibration.safetensors',
    },
    {
      description: 'token ids, [[1, 2, 3], [4, 5, 6]], for a checkpoint without a tokenizer',
      command: '<%= config.bin %> <%= command.id %> ./model --ids ids.json -o calibration.safetensors',
    },
  ];
  static override args = {
    checkpoint: stringArgument({
      description: 'directory of the checkpoint in Hugging Face layout, or a .gguf file',
      required: true,
    }),
  };
  static override flags = {
    output: string({ char: 'o', description: 'file to write', required: true }),
    text: string({ description: 'text file [default: a small text that comes with halfbyte]', exclusive: ['ids'] }),
    ids: string({ description: 'JSON file with a list of token ids, or a list of such lists' }),
    tokens: integer({ min: 1, description: 'tokens of the text that are read at most [default: 32768]' }),
    'sequence-length': integer({ min: 1, description: 'tokens that are read together [default: 256]' }),
    force: boolean({ description: 'replace the file if it exists' }),
  };

  async run(): Promise<CalibrateResult> {
    const { args, flags } = await this.parse(Calibrate);
    const { calibrate, describeCalibrate } = await import('../src/stages/calibrate.js');
    const result = await calibrate(args.checkpoint, {
      output: flags.output,
      textFile: flags.text,
      idsFile: flags.ids,
      tokens: flags.tokens,
      sequenceLength: flags['sequence-length'],
      force: flags.force,
      onProgress: this.progress('Calibrating'),
      signal: this.signal,
    });
    this.log(describeCalibrate(result));
    return result;
  }
}
