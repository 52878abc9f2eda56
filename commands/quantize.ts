import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import { commandLine } from '../src/core/command-line.js';
import type { QuantizationAlgorithm, QuantizationStrategy } from '../src/core/scheme.js';
import type { QuantizeResult } from '../src/stages/quantize.js';

const option = <T extends string>(options: readonly T[], description: string, helpGroup?: string) =>
  Flags.custom<T>({ options: [...options], description, ...(helpGroup ? { helpGroup } : {}) })();

/** Flags that change how a report is shown, not what it says. */
const HIDDEN = { report: 'value', json: 'flag', quiet: 'flag' } as const;

/** Checkpoint -> checkpoint in another layout. */
export default class Quantize extends HalfbyteCommand {
  static override summary = 'Turn a checkpoint into a quantized checkpoint that other engines load.';
  static override description =
    'Writes safetensors (or GGUF) with the quantization_config that vLLM, transformers, MLX or llama.cpp expect. ' +
    'Reads every layout that it writes: codes are kept where the grids agree, and --layout plain is the way back.';

  static override examples = [
    {
      description: 'FP8 in blocks of 128 x 128, as DeepSeek-V3 is stored',
      command: '<%= config.bin %> quantize ./model -o ./model-fp8 --layout deepseek_fp8',
    },
    {
      description: 'back to bfloat16, without a GPU',
      command: '<%= config.bin %> quantize ./DeepSeek-V3 -o ./DeepSeek-V3-bf16 --layout plain --weights bf16',
    },
    {
      description: 'int4 in groups of 128 for vLLM, more bits where it hurts',
      command:
        '<%= config.bin %> quantize ./model -o ./model-w4 --layout compressed_tensors --weights int4 --group-size 128 ' +
        "--override 'model.layers.*.mlp.down_proj.weight=int8'",
    },
    {
      description: 'refuse what loses too much, with a page that shows where',
      command:
        "<%= config.bin %> quantize ./model -o ./model-w4 --layout gptq --gate 'sqnr_db>18' --gate 'total.sqnr_db>20' " +
        '--report errors.html',
    },
    {
      description: 'show what would become of each tensor',
      command: '<%= config.bin %> quantize ./model -o ./out --layout gptq --dry-run',
    },
  ];

  static override args = {
    checkpoint: Args.string({
      description: 'directory of the checkpoint in Hugging Face layout, or a .gguf file',
      required: true,
    }),
  };

  static override flags = {
    output: Flags.string({ char: 'o', description: 'directory of the new checkpoint', required: true }),
    layout: Flags.string({
      description:
        'how the checkpoint is dressed: awq, bnb_nf4, compressed_tensors, deepseek_fp8, gguf, gptq, gptq_v2, mlx or plain',
      required: true,
    }),
    weights: Flags.string({
      description:
        "scheme of the matrices, as int4, int8, fp8_e4m3, mxfp4, nvfp4, nf4, bf16, or of llama.cpp, as Q4_K_M, Q8_0 [default: the layout's]",
      helpGroup: 'SCHEME',
    }),
    strategy: option<QuantizationStrategy>(
      ['tensor', 'channel', 'group', 'block'],
      "what shares a scale [default: the layout's]",
      'SCHEME',
    ),
    'group-size': Flags.string({
      description: "columns that share a scale [default: the layout's]",
      helpGroup: 'SCHEME',
    }),
    asymmetric: Flags.boolean({
      description: "zero points as well as scales [default: the layout's]",
      allowNo: true,
      helpGroup: 'SCHEME',
    }),
    scales: option(['f32', 'f16', 'bf16', 'e8m0'] as const, "type of the scales [default: the layout's]", 'SCHEME'),
    algorithm: option<QuantizationAlgorithm>(
      ['rtn', 'mse', 'kquant', 'hqq'],
      'how scales are chosen [default: mse for int4 and int8]',
      'SCHEME',
    ),
    only: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'quantize only tensors whose name matches this glob',
      helpGroup: 'TENSORS',
    }),
    skip: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'leave tensors whose name matches this glob alone',
      helpGroup: 'TENSORS',
    }),
    override: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: '<glob>=<scheme> for single tensors; the last match wins',
      helpGroup: 'TENSORS',
    }),
    'unknown-architecture': Flags.boolean({
      description:
        'take a model of a family that is not drawn: go by the names of its tensors, and say what they are taken for',
      helpGroup: 'TENSORS',
    }),
    preset: option(
      ['mixed'] as const,
      'mixed: int8 for v_proj, down_proj and the first and last eighth of the layers',
      'TENSORS',
    ),
    gate: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: "a demand of every quantized tensor, as 'sqnr_db>18', or of all, as 'total.sqnr_db>20'",
      helpGroup: 'ERRORS',
    }),
    report: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'file for the error report, .html or .json',
      helpGroup: 'ERRORS',
    }),
    errors: Flags.boolean({
      description: 'measure what rounding takes from each tensor [default: yes]',
      allowNo: true,
      default: true,
      helpGroup: 'ERRORS',
    }),
    'max-shard-size': Flags.string({
      description: 'bytes of tensors in a file [default: 5GB; gguf: one file]',
      helpGroup: 'WORK',
    }),
    workers: Flags.integer({
      min: 0,
      description: 'worker threads; 0 works in the main thread [default: one a core]',
      helpGroup: 'WORK',
    }),
    'max-memory': Flags.string({ description: 'ceiling of memory, as 200MiB or 1GB', helpGroup: 'WORK' }),
    shard: Flags.string({ description: 'i/n: do the i-th of n parts of the work, for "merge"', helpGroup: 'WORK' }),
    sha256: Flags.boolean({
      description: 'whole-file SHA-256 of inputs and outputs in the manifest',
      helpGroup: 'WORK',
    }),
    force: Flags.boolean({ description: 'replace a package or checkpoint that halfbyte wrote there' }),
    'dry-run': Flags.boolean({ description: 'print what would become of each tensor and write nothing' }),
  };

  async run(): Promise<QuantizeResult> {
    const { args, flags } = await this.parse(Quantize);
    const { quantize, describeQuantize } = await import('../src/stages/quantize.js');
    const result = await quantize(
      args.checkpoint,
      {
        layout: flags.layout,
        weights: flags.weights,
        strategy: flags.strategy,
        groupSize: flags['group-size'],
        asymmetric: flags.asymmetric,
        scales: flags.scales,
        algorithm: flags.algorithm,
        only: flags.only,
        skip: flags.skip,
        override: flags.override,
        preset: flags.preset,
        unknownArchitecture: flags['unknown-architecture'],
        maxShardSize: flags['max-shard-size'],
      },
      {
        output: flags.output,
        dryRun: flags['dry-run'],
        force: flags.force,
        workers: this.threads('--workers', flags.workers),
        maxMemory: flags['max-memory'],
        shard: flags.shard,
        sha256: flags.sha256,
        errors: flags.errors,
        gates: flags.gate,
        reports: flags.report,
        reproduce: commandLine(['halfbyte', 'quantize', ...this.argv], HIDDEN),
      },
      this.progress(flags.shard === undefined ? 'Quantizing' : `Quantizing, shard ${flags.shard}`),
      this.signal,
      (text) => this.note(text),
    );
    if (result.report?.verdict === 'fail') this.exitCode = 1;
    this.log(describeQuantize(result));
    return result;
  }
}
