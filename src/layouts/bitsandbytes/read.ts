import type { TensorRef } from '../../core/checkpoint.js';
import type { JsonObject } from '../../core/json.js';
import type { Layout, StoredValues } from '../../core/layout.js';
import type { Packed } from '../../core/scheme.js';
import type { LogicalTensor, PackedSource } from '../../core/weights.js';
import { NF4_VALUES } from '../../schemes/nf4.js';
import { scalesOf } from '../packing/integer-rows.js';
import { allBytes, packedMatrix, partOf, refuseShape, type Tensors } from '../packing/stored-tensors.js';
import { readQuantState } from './quant-state.js';

interface BnbParameters {
  blocksize: number;
  /** Whether the sixteen values are those of the scheme nf4. */
  is_nf4: boolean;
  nested_blocksize?: number;
  nested_offset?: number;
}

const parametersOf = (source: PackedSource) => source.parameters as unknown as BnbParameters;

const GROUPS = [64, 128, 256];

/**
 * A 4-bit tensor of bitsandbytes: U8 [ceil(n / 2), 1], flat over the rows, even places in high nibbles; `.absmax` for
 * each block of values, F32, or U8 codes of `.nested_quant_map` with a factor `.nested_absmax` for a block of them and
 * `nested_offset` added; `.quant_map` F32 [16]. The value is quant_map[code] * absmax (functional.py, dequantize_4bit).
 */
export function bnbMatrix(name: string, state: TensorRef, tensors: Tensors, values: StoredValues): LogicalTensor {
  const { blocksize, shape, nested } = readQuantState(state, values);
  const [rows, cols] = shape;
  const codes = partOf(name, tensors, name, ['U8', 'BF16', 'F16', 'F32', 'I8']);
  if (codes.nbytes !== Math.ceil((rows * cols) / 2)) {
    refuseShape(
      codes,
      name,
      `${Math.ceil((rows * cols) / 2)} bytes for the [${rows}, ${cols}] that "${state.name}" states`,
    );
  }
  const blocks = Math.ceil((rows * cols) / blocksize);
  const scales = partOf(name, tensors, `${name}.absmax`, nested ? ['U8'] : ['F32'], [blocks]);
  const map = partOf(name, tensors, `${name}.quant_map`, ['F32'], [16]);
  const parts: Record<string, TensorRef> = { codes, scales, map, state };
  const parameters: JsonObject = { blocksize };
  if (nested) {
    const factors = [Math.ceil(blocks / nested.blocksize)];
    parts.nested_scales = partOf(name, tensors, `${name}.nested_absmax`, ['F32'], factors);
    parts.nested_map = partOf(name, tensors, `${name}.nested_quant_map`, ['F32'], [256]);
    Object.assign(parameters, { nested_blocksize: nested.blocksize, nested_offset: nested.offset });
  }
  const found = scalesOf('F32', values.read(map), 16);
  parameters.is_nf4 = found.every((value, code) => value === NF4_VALUES[code]);
  return packedMatrix('bnb_nf4', name, [rows, cols], parts, parameters);
}

export const bnbRows: Pick<Layout, 'rowQuantum' | 'needs' | 'decode' | 'grid' | 'unpack'> = {
  // so many rows are a whole number of blocks, and a block of bytes
  rowQuantum(source) {
    const { blocksize } = parametersOf(source);
    return blocksize / greatestCommonDivisor(blocksize, source.cols);
  },

  needs(source, from, count) {
    const { blocksize } = parametersOf(source);
    const { codes, scales, map, nested_scales: factors, nested_map: nestedMap } = source.parts;
    const [start, end] = [from * source.cols, (from + count) * source.cols];
    const first = Math.floor(start / 2);
    const block = start / blocksize;
    const itemBytes = scales.dtype === 'U8' ? 1 : 4;
    const blocks = Math.ceil(end / blocksize) - block;
    return {
      codes: [{ file: codes.file, offset: codes.offset + first, nbytes: Math.ceil(end / 2) - first }],
      scales: [{ file: scales.file, offset: scales.offset + block * itemBytes, nbytes: blocks * itemBytes }],
      map: [allBytes(map)],
      ...(factors ? { nested_scales: [allBytes(factors)], nested_map: [allBytes(nestedMap)] } : {}),
    };
  },

  decode(source, from, count, bytes, out) {
    const { blocksize } = parametersOf(source);
    const scales = blockScales(source, from, bytes);
    const map = scalesOf('F32', bytes.map, 16);
    const values = new Float32Array(16);
    const total = count * source.cols;
    for (let block = 0, i = 0; i < total; block++) {
      for (let code = 0; code < 16; code++) values[code] = map[code] * scales[block];
      for (const end = Math.min(total, i + blocksize); i < end; i += 2) {
        const byte = bytes.codes[i >> 1];
        out[i] = values[byte >> 4];
        if (i + 1 < total) out[i + 1] = values[byte & 15];
      }
    }
  },

  grid(source) {
    const { blocksize, is_nf4: isNf4 } = parametersOf(source);
    if (!isNf4 || !GROUPS.includes(blocksize)) return undefined;
    return {
      scheme: 'nf4',
      strategy: 'group',
      group_size: blocksize,
      symmetric: true,
      scale_dtype: 'F32',
      algorithm: 'rtn',
    };
  },

  unpack(source, from, _count, bytes, _args, out) {
    out.codes.set(bytes.codes);
    out.scales.set(new Uint8Array(blockScales(source, from, bytes).buffer));
  },
};

/** Scales of the blocks from row `from` on: stored, or made of their own quantization in float32. */
function blockScales(source: PackedSource, from: number, bytes: Packed): Float32Array {
  const { blocksize, nested_blocksize: nested, nested_offset: offset = 0 } = parametersOf(source);
  if (nested === undefined) return scalesOf('F32', bytes.scales, bytes.scales.length / 4);
  const factors = scalesOf('F32', bytes.nested_scales, bytes.nested_scales.length / 4);
  const map = scalesOf('F32', bytes.nested_map, 256);
  const first = (from * source.cols) / blocksize;
  return Float32Array.from(
    bytes.scales,
    (code, i) => Math.fround(map[code] * factors[Math.floor((first + i) / nested)]) + offset,
  );
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
