import type { TensorRef } from '../core/checkpoint.js';
import type { Layout } from '../core/layout.js';
import { own } from '../core/own.js';
import type { PackedSource } from '../core/weights.js';
import { compressedDressing } from './compressed/dressing.js';
import type { CompressedForm } from './compressed/form.js';
import { fp4Packed } from './compressed/fp4_packed.js';
import { naiveQuantized } from './compressed/naive_quantized.js';
import { packQuantized } from './compressed/pack_quantized.js';
import { activationsIn, configuredSizes } from './compressed/settings.js';
import { floatTensors, quantizationConfig } from './packing/stored-tensors.js';

const FORMS: Record<string, CompressedForm> = own({
  'pack-quantized': packQuantized,
  'naive-quantized': naiveQuantized,
  fp4: fp4Packed,
});

/**
 * compressed_tensors: the checkpoints of llm-compressor, as vLLM and transformers load them. Which form a module has
 * is told by the tensors that it stores; config.json adds only sizes that shapes leave open.
 */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'compressed-tensors',

  undress(tensors, config, values) {
    const sizes = configuredSizes(config);
    const { kv_cache_scheme: cache } = quantizationConfig(config);
    if (cache) values.note('kv_cache_scheme is passed over: it quantizes the cache of another engine, no weight.');
    const taken = new Set<string>();
    const logical = [...tensors.values()].flatMap((ref) => {
      const found = moduleOf(ref);
      if (!found) return [];
      const matrix = found.form.matrix(found.module, tensors, values, sizes);
      // scales of activations stand beside a weight and are not needed for it
      for (const name of besides(found.module)) {
        const beside = tensors.get(name);
        if (beside) (matrix.source as PackedSource).parts[name.slice(found.module.length + 1)] ??= beside;
      }
      for (const part of Object.values((matrix.source as PackedSource).parts)) taken.add(part.name);
      return [matrix];
    });
    const floats = floatTensors(tensors, taken);
    for (const matrix of logical) floats.set(matrix.name, matrix);
    return floats;
  },

  activations: activationsIn,
  rowQuantum: (source) => formOf(source).rowQuantum(source),
  needs: (source, from, count) => formOf(source).needs(source, from, count),
  decode: (source, from, count, bytes, out) => formOf(source).decode(source, from, count, bytes, out),
  grid: (source) => formOf(source).grid?.(source),
  unpack: (source, from, count, bytes, args, out) => formOf(source).unpack?.(source, from, count, bytes, args, out),
  dressing: compressedDressing,
} satisfies Layout;

const formOf = (source: PackedSource): CompressedForm => FORMS[source.parameters.form as string];

/** The module whose codes a tensor holds. */
function moduleOf({ name, dtype }: TensorRef): { module: string; form: CompressedForm } | undefined {
  if (name.endsWith('.weight_packed')) {
    return { module: name.slice(0, -'.weight_packed'.length), form: dtype === 'U8' ? fp4Packed : packQuantized };
  }
  const isCodes = dtype === 'F8_E4M3' || dtype === 'I8';
  return name.endsWith('.weight') && isCodes
    ? { module: name.slice(0, -'.weight'.length), form: naiveQuantized }
    : undefined;
}

const besides = (module: string) =>
  ['input_scale', 'input_zero_point', 'input_global_scale', 'output_scale', 'output_zero_point'].map(
    (each) => `${module}.${each}`,
  );
