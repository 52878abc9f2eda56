import type { DressedCheckpoint, Dressing, NamedMatrix } from '../../core/dressing.js';
import { UsageError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import int4 from '../../schemes/int4.js';
import { fusedModule, isExpert } from '../packing/fused.js';
import { describeActivations } from './settings.js';
import { floatWriter } from './write_float.js';
import { mxfp4Writer, nvfp4Writer } from './write_fp4.js';
import { packWriter } from './write_packed.js';
import { type CompressedWriter, moduleOf } from './writer.js';

const WRITERS: Record<string, CompressedWriter> = own({
  int4: packWriter,
  int8: packWriter,
  fp8_e4m3: floatWriter,
  nvfp4: nvfp4Writer,
  mxfp4: mxfp4Writer,
});

const writerOf = ({ scheme }: QuantizationArgs): CompressedWriter => WRITERS[scheme];

/**
 * The writing side. quantization_config is what vLLM and transformers read: objects of config_groups refuse unknown
 * keys (extra="forbid"), so there are only those that all versions have.
 */
export const compressedDressing: Dressing = {
  defaults: {
    scheme: 'int4',
    strategy: 'group',
    group_size: 128,
    symmetric: true,
    scale_dtype: 'BF16',
    algorithm: int4.defaults.algorithm,
  },

  check(args, flag) {
    if (!Object.hasOwn(WRITERS, args.scheme)) {
      throw new UsageError(
        `${flag} ${args.scheme}: layout compressed_tensors writes ${Object.keys(WRITERS).join(', ')}.`,
        `${flag} int4.`,
      );
    }
    writerOf(args).check(args, flag);
  },

  // engines read embeddings, heads and routers as floats
  quantizes: (matrix, args) => matrix.kind === 'linear' && writerOf(args).quantizes(matrix, args),
  fused: fusedModule,
  sharedScale: (matrix, args) => writerOf(args).sharedScale?.(matrix, args),
  rowQuantum: (args) => writerOf(args).rowQuantum(args),
  parts: (rows, cols, args) => writerOf(args).parts(rows, cols, args),
  pack: (packed, rows, cols, args, out) => writerOf(args).pack(packed, rows, cols, args, out),
  tensors: (matrix, args) => writerOf(args).tensors(matrix, args),

  activations(args) {
    const activations = writerOf(args).activations(args);
    return activations ? describeActivations(activations) : undefined;
  },

  config({ args, exceptions, alone, quantized }: DressedCheckpoint) {
    // vLLM finds a fused layer by its class before it looks for the names of its parts: the class stands alone or not at all
    const excepted = new Set(exceptions.map(({ matrix }) => matrix.name));
    const others = quantized.filter(({ name }) => !excepted.has(name));
    const groups = [{ args, targets: exceptions.length > 0 ? targetsOf(others) : ['Linear'] }];
    const byArgs = new Map<string, typeof exceptions>();
    for (const each of exceptions) {
      const key = JSON.stringify(each.args);
      byArgs.set(key, [...(byArgs.get(key) ?? []), each]);
    }
    for (const same of byArgs.values()) {
      groups.push({ args: same[0].args, targets: targetsOf(same.map(({ matrix }) => matrix)) });
    }
    const formats = new Set(groups.map((group) => writerOf(group.args).format));
    const isMixed = formats.size > 1;
    return {
      quantization_config: {
        quant_method: 'compressed-tensors',
        format: isMixed ? 'mixed-precision' : [...formats][0],
        quantization_status: 'compressed',
        global_compression_ratio: null,
        kv_cache_scheme: null,
        ignore: ignored(alone, quantized),
        config_groups: Object.fromEntries(
          groups.map((group, index) => [`group_${index}`, configGroup(group.args, group.targets, isMixed)]),
        ),
      },
    };
  },
};

/** Names of modules, the experts of a layer as a regular expression. */
function targetsOf(matrices: NamedMatrix[]): string[] {
  const targets = matrices.map((matrix) => {
    const experts = isExpert(matrix.name) ? fusedModule(matrix.name) : undefined;
    return experts ? `re:^${experts.replaceAll('.', '\\.')}\\.` : moduleOf(matrix);
  });
  return [...new Set(targets)];
}

/** Modules of class Linear that are left alone. A head that is tied to the embedding is one too, though it stores nothing. */
function ignored(alone: NamedMatrix[], quantized: NamedMatrix[]): string[] {
  const modules = alone.filter(isLinear).map(moduleOf);
  const hasHead = [...alone, ...quantized].some(({ kind }) => kind === 'lm_head');
  return hasHead ? modules : ['lm_head', ...modules];
}

const isLinear = ({ kind }: NamedMatrix) => kind !== 'embedding' && kind !== 'table';

function configGroup(args: QuantizationArgs, targets: string[], isMixed: boolean): JsonObject {
  const writer = writerOf(args);
  return {
    targets,
    // engines that read mxfp4 look for it here, and those that do not know the key read none
    ...(isMixed || writer === mxfp4Writer ? { format: writer.format } : {}),
    weights: writer.weights(args),
    input_activations: writer.activations(args),
    output_activations: null,
  };
}
