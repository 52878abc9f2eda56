import type { Json, JsonObject } from '../../core/json.js';
import type { Layout } from '../../core/layout.js';
import { floatTensors, quantizationConfig, refuseSetting } from '../packing/stored-tensors.js';
import { gptqMatrix, gptqRows } from './read.js';
import { gptqDressing } from './write.js';
import { type GptqFormat, settleZeroPoints } from './zero-points.js';

const CODES = '.qweight';
const PARTS = ['qweight', 'qzeros', 'scales', 'g_idx'];

/** The version of the format that a config.json names; undefined for other quantizations. */
const formatOf = ({ quant_method, checkpoint_format: format }: JsonObject): Json | undefined =>
  quant_method === 'gptq' ? (format ?? 'gptq') : undefined;

/** GPTQ in one of its two versions. */
export function gptqLayout(format: GptqFormat) {
  return {
    matches: (config) =>
      (formatOf(quantizationConfig(config)) === 'gptq_v2') === (format === 'gptq_v2') &&
      formatOf(quantizationConfig(config)) !== undefined,

    undress(tensors, config, values) {
      const settings = quantizationConfig(config);
      if (formatOf(settings) !== format) {
        refuseSetting(format, 'checkpoint_format', settings.checkpoint_format, '"gptq" or "gptq_v2"');
      }
      const size = settings.group_size;
      const groupSize = typeof size === 'number' && size > 0 ? size : undefined;
      const modules = [...tensors.keys()]
        .filter((name) => name.endsWith(CODES))
        .map((name) => name.slice(0, -CODES.length));
      const matrices = modules.map((module) => gptqMatrix(format, module, tensors, values, groupSize));
      settleZeroPoints(matrices, format, values);
      const logical = floatTensors(tensors, new Set(modules.flatMap((each) => PARTS.map((part) => `${each}.${part}`))));
      for (const matrix of matrices) logical.set(matrix.name, matrix);
      return logical;
    },

    ...gptqRows,
    dressing: gptqDressing(format),
  } satisfies Layout;
}
