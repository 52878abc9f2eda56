import { UsageError } from '../core/errors.js';
import { NonFiniteWeight, type QuantizationArgs, type Scheme } from '../core/scheme.js';

const f32 = Math.fround;
const BLOCK_SIZES = [64, 128, 256];

/** The sixteen values: quantiles of a normal distribution, 0 among them (bitsandbytes/functional.py, get_4bit_type). */
export const NF4_VALUES = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);
const CODE_OF_ZERO = 7;

/** The greatest value of each code but the last (bitsandbytes csrc, dQuantizeNF4): the means of two neighbours. */
export const NF4_BOUNDS = Float32Array.of(
  -0.8480964004993439,
  -0.6106329262256622,
  -0.4599952697753906,
  -0.33967943489551544,
  -0.23460740596055984,
  -0.13791173323988914,
  -0.045525018125772476,
  0.03979014977812767,
  0.1202552504837513,
  0.2035212516784668,
  0.2920137718319893,
  0.3893125355243683,
  0.5016634166240692,
  0.6427869200706482,
  0.8614784181118011,
);

/** Code of a value in [-1, 1]: how many bounds lie below it. */
function codeOf(x: number): number {
  let code = x > NF4_BOUNDS[7] ? 8 : 0;
  if (x > NF4_BOUNDS[code + 3]) code += 4;
  if (x > NF4_BOUNDS[code + 1]) code += 2;
  return x > NF4_BOUNDS[code] ? code + 1 : code;
}

/**
 * nf4: bitsandbytes' 4-bit NormalFloat. The tensor is cut flat, row after row, into blocks of `group_size` values;
 * scale = greatest magnitude of the block, code = the value nearest to x * (1 / scale), in float32.
 *
 * Parts: codes uint8 [ceil(rows * cols / 2)], values at even places in high nibbles, a missing last one 0; scales
 * float32 [blocks]. Quantizing the scales again (double quantization) is the layout's business. A block of zeros has
 * scale 0 and the code of 0.
 */
const nf4: Scheme = {
  numBits: 4,
  type: 'float',
  defaults: {
    scheme: 'nf4',
    strategy: 'group',
    group_size: 64,
    symmetric: true,
    scale_dtype: 'F32',
    algorithm: 'rtn',
  },

  check(args) {
    if (!args.symmetric) throw new UsageError('nf4 has no zero points; --asymmetric does not apply to it.');
    if (args.strategy !== 'group' || !BLOCK_SIZES.includes(args.group_size ?? 0)) {
      throw new UsageError(`nf4 has blocks of ${BLOCK_SIZES.join(', ')} values.`, '--group-size 64.');
    }
    if (args.algorithm !== 'rtn') {
      throw new UsageError(`--algorithm ${args.algorithm}: nf4 has rtn.`, '--algorithm rtn.');
    }
    if (args.scale_dtype !== 'F32') throw new UsageError(`nf4 stores its scales as F32, not ${args.scale_dtype}.`);
  },

  // As many rows as a block has values are a whole number of blocks, however long a row is.
  rowQuantum: blockSize,

  layout(rows, cols, args) {
    const blocks = Math.ceil((rows * cols) / blockSize(args));
    const codeBytes = Math.ceil((rows * cols) / 2);
    return {
      codes: { dtype: 'UINT8', shape: [codeBytes], nbytes: codeBytes },
      scales: { dtype: 'FLOAT', shape: [blocks], nbytes: 4 * blocks },
    };
  },

  quantize(values, cols, args, out) {
    const block = blockSize(args);
    const scales = new DataView(out.scales.buffer, out.scales.byteOffset, out.scales.byteLength);
    out.codes.fill(0);
    for (let from = 0; from < values.length; from += block) {
      const end = Math.min(from + block, values.length);
      let scale = 0;
      for (let i = from; i < end; i++) {
        const magnitude = Math.abs(values[i]);
        if (!(magnitude < Number.POSITIVE_INFINITY)) {
          throw new NonFiniteWeight(Math.floor(i / cols), i % cols, values[i]);
        }
        if (magnitude > scale) scale = magnitude;
      }
      scales.setFloat32((4 * from) / block, scale, true);
      const inverse = f32(1 / scale);
      for (let i = from; i < end; i++) {
        const code = scale === 0 ? CODE_OF_ZERO : codeOf(f32(values[i] * inverse));
        out.codes[i >> 1] |= code << ((i & 1) === 0 ? 4 : 0);
      }
    }
  },

  dequantize(packed, rows, cols, args, out) {
    const block = blockSize(args);
    const { buffer, byteOffset, byteLength } = packed.scales;
    const scales = new DataView(buffer, byteOffset, byteLength);
    for (let from = 0; from < rows * cols; from += block) {
      const scale = scales.getFloat32((4 * from) / block, true);
      const end = Math.min(from + block, rows * cols);
      for (let i = from; i < end; i++) {
        const code = (packed.codes[i >> 1] >> ((i & 1) === 0 ? 4 : 0)) & 15;
        out[i] = f32(NF4_VALUES[code] * scale);
      }
    }
  },
};

function blockSize({ group_size }: QuantizationArgs): number {
  return group_size as number;
}

export default nf4;
