import type { Json, JsonObject } from '../../core/json.js';
import type { Layout } from '../../core/layout.js';
import { AUTO_ROUND_KEYS, checkSettings, type SettingKeys } from '../packing/setting-keys.js';
import { floatTensors, quantizationConfig, refuseSetting } from '../packing/stored-tensors.js';
import { gptqMatrix, gptqRows } from './read.js';
import { gptqDressing } from './write.js';
import { type GptqFormat, settleZeroPoints } from './zero-points.js';

const CODES = '.qweight';
const PARTS = ['qweight', 'qzeros', 'scales', 'g_idx'];

/** What AutoGPTQ, GPTQModel, auto-round and transformers write; sizes and order of columns show in the tensors. */
const KEYS: SettingKeys = {
  read: ['quant_method', 'checkpoint_format', 'format', 'group_size'],
  inert: [
    ...AUTO_ROUND_KEYS,
    'act_group_aware',
    'backend',
    'bits',
    'block_name_to_quantize',
    'cache_block_outputs',
    'cache_examples_on_gpu',
    'damp_auto_increment',
    'damp_percent',
    'dataset',
    'desc_act',
    'disable_exllama',
    'dynamic',
    'exllama_config',
    'gptaq',
    'hyb_act',
    'lm_head',
    'lm_head_quantized',
    'max_input_length',
    'meta',
    'model_file_base_name',
    'model_name_or_path',
    'model_seqlen',
    'module_name_preceding_first_block',
    'modules_in_block_to_quantize',
    'modules_to_not_convert',
    'mse',
    'offload_to_disk',
    'offload_to_disk_path',
    'pack_impl',
    'pad_token_id',
    'quantizer',
    'static_groups',
    'sym',
    'tokenizer',
    'true_sequential',
    'uri',
    'use_cuda_fp16',
    'use_exllama',
    'v2',
    'v2_alpha',
    'version',
  ],
  refused: { is_marlin_format: [false], method: ['gptq'], pack_dtype: ['int32'] },
};

/** The version of the format that a config.json names, as transformers 5 and others call it; undefined for other quantizations. */
const formatOf = ({ quant_method, checkpoint_format, format }: JsonObject): Json | undefined =>
  quant_method === 'gptq' ? (checkpoint_format ?? format ?? 'gptq') : undefined;

/** GPTQ in one of its two versions. */
export function gptqLayout(format: GptqFormat) {
  return {
    matches: (config) =>
      (formatOf(quantizationConfig(config)) === 'gptq_v2') === (format === 'gptq_v2') &&
      formatOf(quantizationConfig(config)) !== undefined,

    undress(tensors, config, values) {
      const settings = quantizationConfig(config);
      if (formatOf(settings) !== format) {
        refuseSetting(format, 'checkpoint_format', formatOf(settings), '"gptq" or "gptq_v2"');
      }
      checkSettings(format, settings, KEYS);
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
