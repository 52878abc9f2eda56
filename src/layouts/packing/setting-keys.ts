import { InvalidInputError } from '../../core/errors.js';
import type { Json, JsonObject } from '../../core/json.js';
import { refuseSetting } from './stored-tensors.js';

/**
 * Keys of a quantization_config: those that a layout reads, those that say how it was made or how an engine shall run
 * it, and those that change what the tensors mean, each with the values at which it does not.
 */
export interface SettingKeys {
  read: string[];
  inert: string[];
  refused: Record<string, Json[]>;
}

/** Keys that auto-round writes beside those of the format in which it exports; settings of modules show in their tensors. */
export const AUTO_ROUND_KEYS = [
  'act_bits',
  'act_data_type',
  'act_dynamic',
  'act_group_size',
  'act_sym',
  'amp',
  'autoround_version',
  'batch_size',
  'data_type',
  'enable_alg_ext',
  'enable_minmax_tuning',
  'enable_norm_bias_tuning',
  'enable_quanted_input',
  'extra_config',
  'gradient_accumulate_steps',
  'iters',
  'low_gpu_mem_usage',
  'lr',
  'minmax_lr',
  'model_free',
  'not_use_best_mse',
  'nsamples',
  'packing_format',
  'provider',
  'quant_block_list',
  'quant_lm_head',
  'scale_dtype',
  'seqlen',
  'static_kv_dtype',
  'supported_types',
  'to_quant_block_names',
  'train_bs',
];

const isNothing = (value: Json) =>
  value === null || value === false || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);

/**
 * Throws InvalidInputError for a setting that changes the meaning of the tensors, and for one that is not known unless it
 * says nothing: null, false or empty. `path` stands before the keys, as `config_groups.group_0.`.
 */
export function checkSettings(layout: string, settings: JsonObject, keys: SettingKeys, path = ''): void {
  for (const [key, value] of Object.entries(settings)) {
    const neutral = Object.hasOwn(keys.refused, key) ? keys.refused[key] : undefined;
    if (neutral) {
      const isNeutral = isNothing(value) || neutral.some((each) => JSON.stringify(each) === JSON.stringify(value));
      if (!isNeutral)
        refuseSetting(layout, path + key, value, neutral.map((each) => JSON.stringify(each)).join(' or '));
    } else if (!keys.read.includes(key) && !keys.inert.includes(key) && !isNothing(value)) {
      throw new InvalidInputError(
        `config.json: quantization_config.${path}${key} is ${JSON.stringify(value).slice(0, 200)}, which layout ${layout} does not know: ` +
          'it may change what the weights mean.',
        'convert the original checkpoint; if the key changes no weight and no activation, remove it.',
      );
    }
  }
}
