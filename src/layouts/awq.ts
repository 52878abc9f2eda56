import type { Layout } from '../core/layout.js';
import { awqMatrix, awqRows } from './awq/read.js';
import { awqDressing } from './awq/write.js';
import { AUTO_ROUND_KEYS, checkSettings, type SettingKeys } from './packing/setting-keys.js';
import { floatTensors, quantizationConfig, refuseSetting } from './packing/stored-tensors.js';

const CODES = '.qweight';
const PARTS = ['qweight', 'qzeros', 'scales'];

/** What AutoAWQ, GPTQModel, auto-round and transformers write; which modules are packed shows in the tensors. */
const KEYS: SettingKeys = {
  read: ['quant_method', 'version', 'format', 'bits'],
  inert: [
    ...AUTO_ROUND_KEYS,
    'act_group_aware',
    'backend',
    'checkpoint_format',
    'damp_auto_increment',
    'damp_percent',
    'desc_act',
    'do_fuse',
    'dynamic',
    'exllama_config',
    'fuse_max_seq_len',
    'group_size',
    'lm_head',
    'meta',
    'modules_to_fuse',
    'modules_to_not_convert',
    'offload_to_disk',
    'offload_to_disk_path',
    'pack_impl',
    'q_group_size',
    'quantizer',
    'static_groups',
    'sym',
    'true_sequential',
    'w_bit',
    'zero_point',
  ],
  refused: { method: ['awq'], pack_dtype: ['int32'] },
};

/** awq: 4-bit checkpoints of AutoAWQ and of what writes its GEMM order, with zero points. */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'awq',

  undress(tensors, config, values) {
    const settings = quantizationConfig(config);
    const { version, format, bits } = settings;
    // gemv, marlin and exllama put the same numbers into other orders
    for (const [key, order] of Object.entries({ version, format })) {
      if (order !== undefined && order !== null && String(order).toLowerCase() !== 'gemm') {
        refuseSetting('awq', key, order, '"gemm"');
      }
    }
    checkSettings('awq', settings, KEYS);
    if (bits !== undefined && bits !== 4) refuseSetting('awq', 'bits', bits, '4');
    const modules = [...tensors.keys()]
      .filter((name) => name.endsWith(CODES))
      .map((name) => name.slice(0, -CODES.length));
    const logical = floatTensors(tensors, new Set(modules.flatMap((each) => PARTS.map((part) => `${each}.${part}`))));
    for (const module of modules) logical.set(`${module}.weight`, awqMatrix(module, tensors, values));
    return logical;
  },

  ...awqRows,
  dressing: awqDressing,
} satisfies Layout;
