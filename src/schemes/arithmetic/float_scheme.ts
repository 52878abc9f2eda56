import type { ElementType } from '../../core/dtype.js';
import { UsageError } from '../../core/errors.js';
import { NonFiniteWeight, type QuantizationArgs, type Scheme } from '../../core/scheme.js';

/** A scheme that stores each value by itself, without scales: one part `codes` of the matrix's own shape. */
export function floatScheme(
  id: string,
  dtype: ElementType,
  numBits: number,
  encode: (x: number, out: Uint8Array, index: number) => boolean,
  decode: (codes: Uint8Array, out: Float32Array) => void,
): Scheme {
  const defaults: QuantizationArgs = {
    scheme: id,
    strategy: 'tensor',
    symmetric: true,
    scale_dtype: 'F32',
    algorithm: 'rtn',
  };
  return {
    numBits,
    type: 'float',
    defaults,
    check(args) {
      if (!args.symmetric) throw new UsageError(`${id} has no zero points; --asymmetric does not apply to it.`);
    },
    rowQuantum: () => 1,
    layout: (rows, cols) => ({ codes: { dtype, shape: [rows, cols], nbytes: (rows * cols * numBits) / 8 } }),
    quantize(values, cols, _args, { codes }) {
      for (let i = 0; i < values.length; i++) {
        const x = values[i];
        if (!Number.isFinite(x) || !encode(x, codes, i)) throw new NonFiniteWeight(Math.floor(i / cols), i % cols, x);
      }
    },
    dequantize({ codes }, rows, cols, _args, out) {
      decode(codes, out.subarray(0, rows * cols));
    },
  };
}
