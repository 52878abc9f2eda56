import type { TensorRef } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import { GGML_TYPES } from '../../core/gguf.js';
import type { JsonObject } from '../../core/json.js';
import type { Layout } from '../../core/layout.js';
import { own } from '../../core/own.js';
import type { LogicalTensor, PackedSource, RowSource } from '../../core/weights.js';
import { type BlockFormat, blockArgs, loadHalf } from '../../schemes/ggml/block_scheme.js';
import { Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from '../../schemes/ggml/simple_blocks.js';
import { Q4_K, Q5_K, Q6_K } from '../../schemes/ggml/super_blocks.js';
import { type IntegerRows, integerGrid, integerParts } from '../packing/integer-rows.js';
import { quantizationConfig, rowBytes } from '../packing/stored-tensors.js';
import { matrixOf } from '../plain.js';
import { type Family, familyOf } from './families.js';
import { huggingFaceNames } from './names.js';

const FORMATS: Record<string, BlockFormat> = own({
  q4_0: Q4_0,
  q4_1: Q4_1,
  q5_0: Q5_0,
  q5_1: Q5_1,
  q8_0: Q8_0,
  q4_k: Q4_K,
  q5_k: Q5_K,
  q6_k: Q6_K,
});

/** How the rows of a packed tensor are to be read. */
interface GgufParameters {
  type: string;
  /** Rows of a head whose halves GGUF has interleaved; 0 where rows stand as they are. */
  head_rows: number;
}

const parametersOf = (source: PackedSource) => source.parameters as unknown as GgufParameters;

/** Place in GGUF's head of a row that transformers has at `row`: its halves are pairs there. */
const placeInHead = (row: number, headRows: number): number =>
  2 * (row % (headRows / 2)) + (row < headRows / 2 ? 0 : 1);

/**
 * The tensors of a GGUF file under Hugging Face's names: experts one by one, rows of q and k back in halves, norms
 * without the 1 that was added, keys and values of latent attention in one matrix again.
 */
export const undressGguf: Layout['undress'] = (tensors, config) => {
  const family = familyOf(config);
  const nameOf = huggingFaceNames(family);
  const types = quantizationConfig(config).types as Record<string, string>;
  const logical = new Map<string, LogicalTensor>();
  const add = (name: string, shape: number[], source: RowSource) => logical.set(name, { name, shape, source });
  for (const ref of tensors.values()) {
    if (isKeyValue(ref, tensors)) continue;
    const name = nameOf(ref.name);
    if (!name) {
      throw new InvalidInputError(
        `${ref.file}: tensor "${ref.name}" is none of architecture ${family.arch} as it is known here.`,
        'start from the original checkpoint.',
      );
    }
    const type = types[ref.name];
    if (name.includes('{e}')) {
      for (const [expert, part] of expertsOf(ref).entries()) {
        const of = name.replace('{e}', String(expert));
        add(of, shapeOf(part, type), plainSource(part, type, of, 0));
      }
      continue;
    }
    add(name, shapeOf(ref, type), sourceOf(ref, type, name, family, config));
  }
  if (family.splitsKeyValue) {
    for (let layer = 0; layer < (config.num_hidden_layers as number); layer++) {
      const name = `model.layers.${layer}.self_attn.kv_b_proj.weight`;
      const whole = tensors.get(`blk.${layer}.attn_kv_b.weight`);
      const source = whole
        ? plainSource(whole, types[whole.name], name, 0)
        : keyValue(layer, name, tensors, types, config);
      add(name, [source.rows, source.cols], source);
    }
  }
  return logical;
};

/** Whether a tensor is of kv_b_proj: whole in files from before April 2025, else keys and values apart; never both. */
function isKeyValue({ name, file }: TensorRef, tensors: ReadonlyMap<string, TensorRef>): boolean {
  const [, layer, part] = /^blk\.(\d+)\.attn_(k|v|kv)_b\.weight$/.exec(name) ?? [];
  if (part === undefined) return false;
  const other = part === 'kv' ? undefined : `blk.${layer}.attn_kv_b.weight`;
  if (other !== undefined && tensors.has(other)) {
    throw new InvalidInputError(
      `${file}: "${name}" and "${other}" both hold the same matrix.`,
      'start from the original checkpoint, or from a file of a current llama.cpp.',
    );
  }
  return true;
}

/** The shape in values of a tensor whose last axis is stored in blocks. */
function shapeOf({ shape }: TensorRef, type: string): number[] {
  const format = FORMATS[type];
  if (!format) return shape;
  return [...shape.slice(0, -1), ((shape.at(-1) as number) / format.blockBytes) * format.block];
}

function sourceOf(ref: TensorRef, type: string, name: string, family: Family, config: JsonObject): RowSource {
  const heads = /\.q_proj\.(weight|bias)$/.test(name)
    ? config.num_attention_heads
    : /\.k_proj\.(weight|bias)$/.test(name)
      ? config.num_key_value_heads
      : undefined;
  const headRows = family.interleaves && typeof heads === 'number' ? ref.shape[0] / heads : 0;
  const source = plainSource(ref, type, name, headRows);
  if (family.normsPlusOne && name.endsWith('norm.weight')) {
    return { kind: 'plus', source, constant: -1, rows: source.rows, cols: source.cols };
  }
  return source;
}

function plainSource(ref: TensorRef, type: string, name: string, headRows: number): RowSource {
  const shape = shapeOf(ref, type);
  const size = matrixOf(shape);
  if (FORMATS[type]) {
    const parameters = { type, head_rows: headRows };
    return { kind: 'packed', layout: 'gguf', parts: { codes: ref }, parameters, name, ...size };
  }
  const source: RowSource = { kind: 'tensor', ref, ...size };
  if (headRows === 0) return source;
  const isVector = shape.length === 1;
  const rows = isVector ? size.cols : size.rows;
  const order = Array.from(
    { length: rows },
    (_, row) => row - (row % headRows) + placeInHead(row % headRows, headRows),
  );
  if (!isVector) return { kind: 'permute', source, order, ...size };
  const column: RowSource = { kind: 'transpose', source, rows: size.cols, cols: 1 };
  const permuted: RowSource = { kind: 'permute', source: column, order, rows: size.cols, cols: 1 };
  return { kind: 'transpose', source: permuted, ...size };
}

/** The experts of a tensor [experts, rows, columns], each with the bytes that are its own. */
function expertsOf(ref: TensorRef): TensorRef[] {
  const [count, ...shape] = ref.shape;
  const nbytes = ref.nbytes / count;
  return Array.from({ length: count }, (_, expert) => ({
    ...ref,
    shape,
    offset: ref.offset + expert * nbytes,
    nbytes,
  }));
}

/** kv_b_proj: for each head the rows of its keys, which GGUF has as columns, and those of its values. */
function keyValue(
  layer: number,
  name: string,
  tensors: ReadonlyMap<string, TensorRef>,
  types: Record<string, string>,
  config: JsonObject,
): RowSource & { kind: 'concat' } {
  const part = (which: string) => {
    const stored = `blk.${layer}.attn_${which}.weight`;
    const ref = tensors.get(stored);
    if (ref && ref.shape.length === 3 && ref.shape[0] === config.num_attention_heads) {
      return expertsOf(ref).map((head) => plainSource(head, types[stored], name, 0));
    }
    throw new InvalidInputError(
      `"${name}" is made of "${stored}", which is ${ref ? `[${ref.shape}]` : 'missing'}.`,
      'start from the original checkpoint, or from a file of a current llama.cpp.',
    );
  };
  const values = part('v_b');
  const sources = part('k_b').flatMap((keys, head): RowSource[] => [
    { kind: 'transpose', source: keys, rows: keys.cols, cols: keys.rows },
    values[head],
  ]);
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  return { kind: 'concat', sources, rows, cols: values[0].cols };
}

export const ggufRows: Pick<Layout, 'rowQuantum' | 'needs' | 'decode' | 'grid' | 'readAs' | 'unpack'> = {
  rowQuantum: (source) => Math.max(1, parametersOf(source).head_rows),

  needs: (source, from, count) => ({ codes: [rowBytes(rowsOf(source), from, count)] }),

  decode(source, _from, count, { codes }, out) {
    const { type } = parametersOf(source);
    const { block, blockBytes, decode } = FORMATS[type];
    const { cols } = source;
    const stored = (cols / block) * blockBytes;
    for (let row = 0; row < count; row++) {
      const at = storedRow(source, row) * stored;
      for (let i = 0; i < cols / block; i++) decode(codes, at + i * blockBytes, out, row * cols + i * block);
    }
  },

  grid(source) {
    const { type } = parametersOf(source);
    if (type !== 'q4_0' && type !== 'q8_0') return undefined;
    return integerGrid(type === 'q4_0' ? 4 : 8, source.cols, 32, true, 'F16');
  },

  readAs(source) {
    const { type } = parametersOf(source);
    return blockArgs(type, FORMATS[type]);
  },

  unpack(source, _from, count, { codes }, args, out) {
    if (args.scheme === parametersOf(source).type) {
      copyRows(source, count, codes, out.codes);
      return;
    }
    integerParts(integerRows(source, count, codes), count, source.cols, args, out);
  },
};

/** The tensor as rows of bytes, whatever axes it has. */
function rowsOf({ parts: { codes }, rows }: PackedSource): TensorRef {
  return { ...codes, shape: [rows, codes.nbytes / rows] };
}

/** Where a row stands among those that were read with it, which are whole heads. */
function storedRow(source: PackedSource, row: number): number {
  const { head_rows: headRows } = parametersOf(source);
  return headRows === 0 ? row : row - (row % headRows) + placeInHead(row % headRows, headRows);
}

/** Rows as the scheme of their type has them. */
function copyRows(source: PackedSource, count: number, codes: Uint8Array, out: Uint8Array): void {
  if (parametersOf(source).head_rows === 0) {
    out.set(codes);
    return;
  }
  const stored = codes.length / count;
  for (let row = 0; row < count; row++) {
    const at = storedRow(source, row) * stored;
    out.set(codes.subarray(at, at + stored), row * stored);
  }
}

/** Codes and scales of q4_0 and q8_0, which are those of int4 and int8 in groups of 32. */
function integerRows(source: PackedSource, count: number, bytes: Uint8Array): IntegerRows {
  const { cols } = source;
  const isNibbles = parametersOf(source).type === 'q4_0';
  const { bytes: blockBytes } = GGML_TYPES[parametersOf(source).type];
  const blocks = cols / 32;
  const rowBytes = isNibbles ? cols / 2 : cols;
  const codes = new Uint8Array(count * rowBytes);
  const scales = new Float32Array(count * blocks);
  for (let row = 0; row < count; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = (storedRow(source, row) * blocks + block) * blockBytes;
      scales[row * blocks + block] = loadHalf(bytes, from);
      const first = from + 2;
      const to = row * rowBytes + (block * rowBytes) / blocks;
      if (isNibbles) {
        // a byte holds codes j and j + 16 of its block
        for (let j = 0; j < 8; j++) {
          const [even, odd] = [bytes[first + 2 * j], bytes[first + 2 * j + 1]];
          codes[to + j] = (even & 15) | ((odd & 15) << 4);
          codes[to + 8 + j] = (even >> 4) | (odd & 0xf0);
        }
      } else {
        for (let j = 0; j < 32; j++) codes[to + j] = bytes[first + j] ^ 0x80;
      }
    }
  }
  return { bits: isNibbles ? 4 : 8, codes, rowBytes, scales, groupSize: 32 };
}
