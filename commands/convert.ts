// The index of @oclif/core would load all of it: 60 ms.
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { HalfbyteCommand } from '../src/command.js';
import type { ConvertOptions } from '../src/core/options.js';
import type { QuantizationAlgorithm } from '../src/core/scheme.js';
import type { ConvertResult } from '../src/stages/convert.js';

const option = <T extends string>(options: readonly T[], description: string, helpGroup?: string) =>
  Flags.custom<T>({ options: [...options], description, ...(helpGroup ? { helpGroup } : {}) })();

/** Checkpoint -> package. */
export default class Convert extends HalfbyteCommand {
  static override summary = 'Turn a Hugging Face checkpoint into an ONNX package.';
  static override description =
    'Reads safetensors headers, plans every byte of the package, then streams the weights through once. ' +
    'The package appears under its name only when it is complete.';

  static override examples = [
    {
      description: 'int4 in groups of 32, for ONNX Runtime on the CPU',
      command: '<%= config.bin %> convert ./DeepSeek-R1-Distill-Qwen-1.5B -o ./r1-int4',
    },
    {
      description: 'int4 body, int8 embeddings and head',
      command: '<%= config.bin %> convert ./model -o ./out --embeddings int8 --lm-head int8',
    },
    {
      description: 'full precision, as a reference',
      command: '<%= config.bin %> convert ./model -o ./out --weights f32',
    },
    {
      description: 'a pipeline of static graphs for the NPU of Copilot+ PCs',
      command: '<%= config.bin %> convert ./model -o ./out --target qnn --calibration calibration.safetensors',
    },
    {
      description: 'show graphs, tensors and sizes without writing anything',
      command: '<%= config.bin %> convert ./model -o ./out --dry-run',
    },
  ];

  static override args = {
    checkpoint: Args.string({
      description: 'directory of the checkpoint in Hugging Face layout, or a .gguf file',
      required: true,
    }),
  };

  static override flags = {
    output: Flags.string({ char: 'o', description: 'directory of the package', required: true }),
    target: Flags.string({
      description: 'device that the package is for: cpu, openvino, qnn, vitisai or web',
      default: 'cpu',
    }),
    weights: Flags.string({
      description: 'scheme of every matrix: f32, f16, int8 or int4 [default: int4]',
      helpGroup: 'SCHEME',
    }),
    embeddings: Flags.string({
      description: 'scheme of the embeddings: f32, f16, int8 or int4 [default: as --weights]',
      helpGroup: 'SCHEME',
    }),
    'lm-head': Flags.string({
      description: 'scheme of the LM head: f32, f16, int8 or int4 [default: as --weights]',
      helpGroup: 'SCHEME',
    }),
    'group-size': Flags.string({
      description:
        'columns that share a scale: 16, 32, 64, 128, 256, or "channel" where the target runs it [default: 32]',
      helpGroup: 'SCHEME',
    }),
    asymmetric: Flags.boolean({ description: 'zero points as well as scales', helpGroup: 'SCHEME' }),
    scales: option(['f32', 'f16'], 'type of the stored scales [default: f32]', 'SCHEME'),
    algorithm: option<QuantizationAlgorithm>(
      ['rtn', 'mse', 'kquant', 'hqq'],
      'how scales are chosen [default: mse for int4 and int8]',
      'SCHEME',
    ),
    only: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'quantize only weights whose name matches this glob',
      helpGroup: 'SCHEME',
    }),
    skip: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'leave weights whose name matches this glob in f32',
      helpGroup: 'SCHEME',
    }),
    override: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: '<glob>=<scheme> for single weights; the last match wins',
      helpGroup: 'SCHEME',
    }),
    'accuracy-level': Flags.custom<number>({
      description: 'accuracy_level of MatMulNBits: 4 int8 activations, 1 float32, 0 unset [default: 4]',
      options: ['0', '1', '4'],
      parse: async (input) => Number(input),
      helpGroup: 'GRAPH',
    })(),
    'context-length': Flags.integer({
      min: 1,
      description: "positions that the package serves [default: the model's]",
      helpGroup: 'GRAPH',
    }),
    prefill: Flags.integer({
      min: 1,
      description: 'tokens of a prompt window on an NPU [default: 64]',
      helpGroup: 'GRAPH',
    }),
    activations: option<ConvertOptions['activations']>(['uint16', 'f16', 'f32'], 'activations on an NPU', 'GRAPH'),
    attention: option<ConvertOptions['attention']>(['npu', 'gqa'], 'form of attention on an NPU', 'GRAPH'),
    mla: option<ConvertOptions['mla']>(['latent', 'expanded'], 'form of multi-head latent attention', 'GRAPH'),
    experts: option<ConvertOptions['experts']>(['qmoe', 'plain'], 'form of mixture-of-experts layers', 'GRAPH'),
    foundry: Flags.string({
      description: 'name under which Foundry Local lists the package in its cache',
      helpGroup: 'GRAPH',
    }),
    runtime: Flags.string({
      description: 'genai@0.13, genai@0.15 or genai@0.16: release whose settings are written [default: what all read]',
      helpGroup: 'GRAPH',
    }),
    calibration: Flags.string({
      description:
        'ranges of activations, from "calibrate" [default: measured on a small text that comes with halfbyte]',
      helpGroup: 'GRAPH',
    }),
    workers: Flags.integer({
      min: 0,
      description: 'worker threads; 0 works in the main thread [default: one a core]',
      helpGroup: 'WORK',
    }),
    'max-memory': Flags.string({ description: 'ceiling of memory, as 200MiB or 1GB', helpGroup: 'WORK' }),
    shard: Flags.string({
      description: 'i/n: write the i-th of n parts of the package, for "merge"',
      helpGroup: 'WORK',
    }),
    sha256: Flags.boolean({
      description: 'whole-file SHA-256 of inputs and outputs in the manifest',
      helpGroup: 'WORK',
    }),
    'strict-config': Flags.boolean({ description: 'refuse keys of config.json that the architecture does not know' }),
    force: Flags.boolean({ description: 'replace a package or checkpoint that halfbyte wrote there' }),
    'dry-run': Flags.boolean({ description: 'print the plan and write nothing' }),
  };

  async run(): Promise<ConvertResult> {
    const { args, flags } = await this.parse(Convert);
    const { convert, describeConvert } = await import('../src/stages/convert.js');
    const result = await convert(
      args.checkpoint,
      {
        target: flags.target,
        weights: flags.weights,
        embeddings: flags.embeddings,
        lmHead: flags['lm-head'],
        groupSize: flags['group-size'],
        asymmetric: flags.asymmetric,
        scales: flags.scales,
        algorithm: flags.algorithm,
        accuracyLevel: flags['accuracy-level'],
        contextLength: flags['context-length'],
        prefill: flags.prefill,
        activations: flags.activations,
        attention: flags.attention,
        mla: flags.mla,
        experts: flags.experts,
        foundry: flags.foundry,
        runtime: flags.runtime,
        only: flags.only,
        skip: flags.skip,
        override: flags.override,
        strictConfig: flags['strict-config'],
      },
      {
        output: flags.output,
        dryRun: flags['dry-run'],
        force: flags.force,
        workers: this.threads('--workers', flags.workers),
        maxMemory: flags['max-memory'],
        shard: flags.shard,
        sha256: flags.sha256,
        calibration: flags.calibration,
      },
      this.progress(flags.shard === undefined ? 'Converting' : `Converting, shard ${flags.shard}`),
      this.signal,
      (text) => this.note(text),
    );
    this.log(describeConvert(result));
    return result;
  }
}
