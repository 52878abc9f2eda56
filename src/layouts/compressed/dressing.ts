import type { DressedCheckpoint, Dressing, NamedMatrix } from '../../core/dressing.js';
import { UsageError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { matrixKind } from '../../core/matrix-kinds.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import int4 from '../../schemes/int4.js';
import { floatWriter } from './write_float.js';
import { mxfp4Writer, nvfp4Writer } from './write_fp4.js';
import { packWriter } from './write_packed.js';
import { type CompressedWriter, moduleOf } from './writer.js';

const WRITERS: Record<string, CompressedWriter> = {
  int4: packWriter,
  int8: packWriter,
  fp8_e4m3: floatWriter,
  nvfp4: nvfp4Writer,
  mxfp4: mxfp4Writer,
};

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
  quantizes: (matrix, args) => matrixKind(matrix.name) === 'linear' && writerOf(args).quantizes(matrix, args),
  sharedScale: (matrix, args) => writerOf(args).sharedScale?.(matrix, args),
  rowQuantum: (args) => writerOf(args).rowQuantum(args),
  parts: (rows, cols, args) => writerOf(args).parts(rows, cols, args),
  pack: (packed, rows, cols, args, out) => writerOf(args).pack(packed, rows, cols, args, out),
  tensors: (matrix, args) => writerOf(args).tensors(matrix, args),

  config({ args, exceptions, alone, quantized }: DressedCheckpoint) {
    // a target that is a module's name goes before the class `Linear`
    const groups = [{ args, targets: ['Linear'] }];
    for (const { matrix, args: other } of exceptions) {
      const same = groups.slice(1).find((group) => JSON.stringify(group.args) === JSON.stringify(other));
      if (same) same.targets.push(moduleOf(matrix));
      else groups.push({ args: other, targets: [moduleOf(matrix)] });
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

/** Modules of class Linear that are left alone. A head that is tied to the embedding is one too, though it stores nothing. */
function ignored(alone: NamedMatrix[], quantized: NamedMatrix[]): string[] {
  const modules = alone.filter(({ name }) => matrixKind(name) !== 'embedding').map(moduleOf);
  const hasHead = [...alone, ...quantized].some(({ name }) => matrixKind(name) === 'lm_head');
  return hasHead ? modules : ['lm_head', ...modules];
}

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
