import type { Layout } from '../core/layout.js';
import type { PackedSource } from '../core/weights.js';
import { STATE_ENDINGS, stateRef } from './bitsandbytes/quant-state.js';
import { bnbMatrix, bnbRows } from './bitsandbytes/read.js';
import { bnbDressing } from './bitsandbytes/write.js';
import { checkSettings, type SettingKeys } from './packing/setting-keys.js';
import { floatTensors, quantizationConfig, refuseSetting } from './packing/stored-tensors.js';

/** What transformers' BitsAndBytesConfig writes: how a tensor is packed stands in its own state. */
const KEYS: SettingKeys = {
  read: ['quant_method', 'load_in_8bit', '_load_in_8bit'],
  inert: [
    '_load_in_4bit',
    'bnb_4bit_compute_dtype',
    'bnb_4bit_quant_storage',
    'bnb_4bit_quant_type',
    'bnb_4bit_target_parameters',
    'bnb_4bit_use_double_quant',
    'llm_int8_enable_fp32_cpu_offload',
    'llm_int8_has_fp16_weight',
    'llm_int8_skip_modules',
    'llm_int8_threshold',
    'load_in_4bit',
  ],
  refused: {},
};

/** bnb_nf4: 4-bit checkpoints of bitsandbytes as transformers saves them (fp4 is read too). */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'bitsandbytes',

  undress(tensors, config, values) {
    const settings = quantizationConfig(config);
    const in8bit = settings.load_in_8bit ?? settings._load_in_8bit;
    if (in8bit === true) refuseSetting('bnb_nf4', 'load_in_8bit', in8bit, 'load_in_4bit');
    checkSettings('bnb_nf4', settings, KEYS);
    const owners = [...tensors.keys()].flatMap((name) =>
      STATE_ENDINGS.filter((ending) => name.endsWith(ending)).map((ending) => name.slice(0, -ending.length)),
    );
    const matrices = owners.map((name) => {
      const state = stateRef(name, tensors);
      if (!state) throw new Error(`${name} has no state`);
      return bnbMatrix(name, state, tensors, values);
    });
    const taken = matrices.flatMap(({ source }) =>
      Object.values((source as PackedSource).parts).map((part) => part.name),
    );
    const logical = floatTensors(tensors, new Set(taken));
    for (const matrix of matrices) logical.set(matrix.name, matrix);
    return logical;
  },

  ...bnbRows,
  dressing: bnbDressing,
} satisfies Layout;
