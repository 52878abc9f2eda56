import type { Layout } from '../core/layout.js';
import { awqMatrix, awqRows } from './awq/read.js';
import { awqDressing } from './awq/write.js';
import { floatTensors, quantizationConfig, refuseSetting } from './packing/stored-tensors.js';

const CODES = '.qweight';
const PARTS = ['qweight', 'qzeros', 'scales'];

/** awq: 4-bit checkpoints of AutoAWQ and of what writes its GEMM order, with zero points. */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'awq',

  undress(tensors, config, values) {
    const { version, bits } = quantizationConfig(config);
    // gemv, marlin and exllama put the same numbers into other orders
    if (version !== undefined && String(version).toLowerCase() !== 'gemm') {
      refuseSetting('awq', 'version', version, '"gemm"');
    }
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
