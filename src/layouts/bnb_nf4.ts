import type { Layout } from '../core/layout.js';
import type { PackedSource } from '../core/weights.js';
import { STATE_ENDINGS, stateRef } from './bitsandbytes/quant-state.js';
import { bnbMatrix, bnbRows } from './bitsandbytes/read.js';
import { bnbDressing } from './bitsandbytes/write.js';
import { floatTensors, quantizationConfig, refuseSetting } from './packing/stored-tensors.js';

/** bnb_nf4: 4-bit checkpoints of bitsandbytes as transformers saves them (fp4 is read too). */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'bitsandbytes',

  undress(tensors, config, values) {
    const { load_in_8bit: in8bit } = quantizationConfig(config);
    if (in8bit === true) refuseSetting('bnb_nf4', 'load_in_8bit', in8bit, 'load_in_4bit');
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
