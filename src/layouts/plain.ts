import { FLOAT_DTYPES } from '../core/dtype.js';
import type { Layout, LogicalTensor } from '../core/types.js';

/** Rows and columns of a stored tensor: its last axis is the columns, a vector is one row. */
export function matrixOf(shape: number[]): { rows: number; cols: number } {
  const cols = shape.at(-1) ?? 1;
  return { rows: shape.slice(0, -1).reduce((product, each) => product * each, 1), cols };
}

/** A checkpoint without quantization_config: every float tensor is a weight as it stands; integers are not weights. */
export default {
  matches: (config) => config.quantization_config === undefined || config.quantization_config === null,

  undress(tensors) {
    const logical = new Map<string, LogicalTensor>();
    for (const ref of tensors.values()) {
      if (!FLOAT_DTYPES.includes(ref.dtype)) continue;
      logical.set(ref.name, {
        name: ref.name,
        shape: ref.shape,
        source: { kind: 'tensor', ref, ...matrixOf(ref.shape) },
      });
    }
    return logical;
  },

  rowQuantum: () => 1,
  needs: () => {
    throw new Error('a plain checkpoint has no packed tensors');
  },
  decode: () => {
    throw new Error('a plain checkpoint has no packed tensors');
  },
} satisfies Layout;
