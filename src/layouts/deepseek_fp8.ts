import type { TensorRef } from '../core/checkpoint.js';
import type { DressedTensor, Dressing } from '../core/dressing.js';
import { bitsOf, FLOAT_DTYPES, f8e4m3ToFloat32, widen } from '../core/dtype.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import { isObject, type Json, type JsonObject } from '../core/json.js';
import type { Layout, StoredValues } from '../core/layout.js';
import type { QuantizationArgs } from '../core/scheme.js';
import type { LogicalTensor, PackedSource } from '../core/weights.js';
import { fusedModule } from './packing/fused.js';
import { checkSettings, type SettingKeys } from './packing/setting-keys.js';
import { matrixOf } from './plain.js';

/** DeepSeek's name misleads: the tensor holds what codes are multiplied by, not its inverse. */
const SCALE = '_scale_inv';
const E4M3 = Float32Array.from({ length: 256 }, (_, code) => f8e4m3ToFloat32(code));

/** What DeepSeek, Qwen, MiniMax and transformers write; which modules are FP8 shows in the tensors. */
const KEYS: SettingKeys = {
  read: ['quant_method', 'fmt', 'weight_block_size', 'activation_scheme', 'scale_fmt'],
  inert: [
    'dequantize',
    'ignored_layers',
    'is_checkpoint_fp8_serialized',
    'modules_to_convert',
    'modules_to_not_convert',
  ],
  refused: {},
};

const BLOCK: [number, number] = [128, 128];

const acrossOf = (size: number, blockSize: number) => Math.ceil(size / blockSize);

/**
 * The writing side, held against the bytes and the config.json of DeepSeek-V3 (README_WEIGHTS.md): 128 x 128 blocks,
 * multipliers in F32 even where they are powers of two, as V3.1 has them (`scale_fmt: ue8m0`).
 */
const dressing: Dressing = {
  defaults: {
    scheme: 'fp8_e4m3',
    strategy: 'block',
    block_structure: BLOCK,
    symmetric: true,
    scale_dtype: 'F32',
    algorithm: 'rtn',
  },

  check({ scheme, strategy, block_structure, scale_dtype }, flag) {
    if (scheme !== 'fp8_e4m3' || strategy !== 'block' || String(block_structure) !== String(BLOCK)) {
      throw new UsageError(
        `${flag} ${scheme} with strategy ${strategy}: layout deepseek_fp8 stores fp8_e4m3 in blocks of 128 x 128.`,
        '--weights fp8_e4m3, or --layout compressed_tensors for other forms.',
      );
    }
    if (scale_dtype !== 'F32' && scale_dtype !== 'F8_E8M0') {
      throw new UsageError(
        `--scales ${scale_dtype.toLowerCase()}: layout deepseek_fp8 stores its multipliers in float32.`,
        '--scales f32, or --scales e8m0 for powers of two.',
      );
    }
  },

  // vLLM builds eh_proj of multi-token prediction as a plain linear layer.
  quantizes: ({ kind, name }) => kind === 'linear' && !name.endsWith('.eh_proj.weight'),

  fused: fusedModule,
  rowQuantum: () => BLOCK[0],

  parts: (rows, cols) => ({
    codes: { nbytes: rows * cols },
    scales: { nbytes: 4 * acrossOf(rows, BLOCK[0]) * acrossOf(cols, BLOCK[1]) },
  }),

  pack(packed, _rows, _cols, { scale_dtype }, out) {
    out.codes.set(packed.codes);
    const { buffer, byteOffset, byteLength } = out.scales;
    widen(scale_dtype, packed.scales, new Float32Array(buffer, byteOffset, byteLength / 4));
  },

  tensors: ({ name, rows, cols }): DressedTensor[] => [
    { name, dtype: 'F8_E4M3', shape: [rows, cols], content: { part: 'codes' } },
    {
      name: name + SCALE,
      dtype: 'F32',
      shape: [acrossOf(rows, BLOCK[0]), acrossOf(cols, BLOCK[1])],
      content: { part: 'scales' },
    },
  ],

  activations: () => 'float8 dynamic',

  config({ args, alone }): JsonObject {
    const skipped = alone.filter((matrix) => dressing.quantizes(matrix, args));
    return {
      quantization_config: {
        activation_scheme: 'dynamic',
        fmt: 'e4m3',
        quant_method: 'fp8',
        ...(args.scale_dtype === 'F8_E8M0' ? { scale_fmt: 'ue8m0' } : {}),
        weight_block_size: BLOCK,
        ...(skipped.length > 0
          ? { modules_to_not_convert: skipped.map(({ name }) => name.replace(/\.weight$/, '')) }
          : {}),
      },
    };
  },
};

/**
 * deepseek_fp8: `X.weight` in F8_E4M3 [M, N] with a multiplier for each block of it,
 * `X.weight_scale_inv` [ceil(M/128), ceil(N/128)], F32 in DeepSeek's checkpoints and BF16 in Qwen's. Blocks at the
 * edges are smaller. The value is float32(code) * scale (inference/kernel.py of deepseek-ai/DeepSeek-V3).
 * Other float tensors (embeddings, norms, routers) stand as they are.
 */
export default {
  matches: (config) => quantizationConfig(config).quant_method === 'fp8',

  undress(tensors, config, values) {
    const settings = quantizationConfig(config);
    const block = blockSize(settings);
    checkSettings('deepseek_fp8', settings, KEYS);
    const isPowers = settings.scale_fmt === 'ue8m0';
    const logical = new Map<string, LogicalTensor>();
    for (const ref of tensors.values()) {
      if (ref.name.endsWith(SCALE)) checkOwner(ref, tensors);
      else if (ref.dtype === 'F8_E4M3')
        logical.set(ref.name, scaled(ref, tensors, block, isPowers ? values : undefined));
      else if (FLOAT_DTYPES.includes(ref.dtype)) {
        const source = { kind: 'tensor' as const, ref, ...matrixOf(ref.shape) };
        logical.set(ref.name, { name: ref.name, shape: ref.shape, source });
      }
    }
    return logical;
  },

  activations: () => ['float8 dynamic'],

  // A row needs its own codes and one row of scales, so no block is ever decoded for a row of it.
  rowQuantum: () => 1,

  needs(source, from, count) {
    const { codes, scales } = source.parts;
    const { blockRows } = blocksOf(source);
    const first = Math.floor(from / blockRows);
    const rowBytes = scales.nbytes / scales.shape[0];
    const scaleRows = Math.ceil((from + count) / blockRows) - first;
    return {
      codes: [{ file: codes.file, offset: codes.offset + from * source.cols, nbytes: count * source.cols }],
      scales: [{ file: scales.file, offset: scales.offset + first * rowBytes, nbytes: scaleRows * rowBytes }],
    };
  },

  decode(source, from, count, bytes, out) {
    const { cols } = source;
    const { blockRows, blockCols } = blocksOf(source);
    const across = Math.ceil(cols / blockCols);
    const firstBlock = Math.floor(from / blockRows);
    const scales = new Float32Array((Math.ceil((from + count) / blockRows) - firstBlock) * across);
    widen(source.parts.scales.dtype, bytes.scales, scales);
    const { codes } = bytes;
    for (let row = 0; row < count; row++) {
      const scaleRow = (Math.floor((from + row) / blockRows) - firstBlock) * across;
      for (let block = 0, column = 0; block < across; block++) {
        const scale = scales[scaleRow + block];
        const end = row * cols + Math.min(cols, column + blockCols);
        for (let i = row * cols + column; i < end; i++) out[i] = E4M3[codes[i]] * scale;
        column += blockCols;
      }
    }
  },

  grid({ parts, parameters }): QuantizationArgs | undefined {
    const { dtype } = parts.scales;
    if (dtype !== 'F32' && dtype !== 'BF16' && dtype !== 'F16') return undefined;
    return {
      ...dressing.defaults,
      block_structure: parameters.weight_block_size as [number, number],
      // engines look for powers of two where config.json says so: they must be told again
      scale_dtype: parameters.powers ? 'F8_E8M0' : dtype,
    };
  },

  unpack({ parts }, _from, _count, bytes, { scale_dtype }, out) {
    out.codes.set(bytes.codes);
    if (scale_dtype === 'F8_E8M0') {
      const scales = new Float32Array(out.scales.length);
      widen(parts.scales.dtype, bytes.scales, scales);
      for (const [i, scale] of scales.entries()) out.scales[i] = bitsOf(scale) >>> 23;
      return;
    }
    if (scale_dtype === parts.scales.dtype) {
      out.scales.set(bytes.scales);
      return;
    }
    const { buffer, byteOffset, byteLength } = out.scales;
    widen(parts.scales.dtype, bytes.scales, new Float32Array(buffer, byteOffset, byteLength / 4));
  },

  dressing,
} satisfies Layout;

const quantizationConfig = (config: JsonObject): JsonObject =>
  isObject(config.quantization_config) ? config.quantization_config : {};

/** Rows and columns that share a scale. Throws InvalidInputError for settings that mean other bytes. */
function blockSize({ fmt, weight_block_size: block, activation_scheme, scale_fmt: scales }: JsonObject): number[] {
  const refuse = (key: string, found: Json | undefined, needed: string) => {
    throw new InvalidInputError(
      `config.json: quantization_config.${key} is ${JSON.stringify(found ?? null)}; layout deepseek_fp8 needs ${needed}.`,
      'convert the original checkpoint instead.',
    );
  };
  if (fmt !== undefined && fmt !== 'e4m3' && fmt !== 'float8_e4m3fn') refuse('fmt', fmt, '"e4m3"');
  if (scales !== undefined && scales !== null && scales !== 'ue8m0' && scales !== 'float') {
    refuse('scale_fmt', scales, '"ue8m0" or "float"');
  }
  if (activation_scheme !== undefined && activation_scheme !== 'dynamic') {
    refuse('activation_scheme', activation_scheme, '"dynamic"');
  }
  const isSize = (each: Json) => typeof each === 'number' && Number.isSafeInteger(each) && each > 0;
  if (!Array.isArray(block) || block.length !== 2 || !block.every(isSize)) {
    refuse('weight_block_size', block, 'the rows and columns that share a scale, as [128, 128]');
  }
  return block as number[];
}

function checkOwner(scale: TensorRef, tensors: ReadonlyMap<string, TensorRef>): void {
  const name = scale.name.slice(0, -SCALE.length);
  const owner = tensors.get(name);
  if (owner?.dtype === 'F8_E4M3') return;
  throw new InvalidInputError(
    `${scale.file}: tensor "${scale.name}" scales "${name}", which is ${owner ? `${owner.dtype}; it needs F8_E4M3` : 'missing'}.`,
    owner ? 'remove quantization_config if the weights were cast back.' : 'check that the weights were saved whole.',
  );
}

/** `powers` reads the scales where they must be powers of two to be called so. */
function scaled(
  ref: TensorRef,
  tensors: ReadonlyMap<string, TensorRef>,
  block: number[],
  powers: StoredValues | undefined,
): LogicalTensor {
  const name = ref.name + SCALE;
  const scales = tensors.get(name);
  if (!scales) {
    throw new InvalidInputError(
      `${ref.file}: tensor "${ref.name}" is F8_E4M3 and needs its scales "${name}", which are missing.`,
      'check that the weights were saved whole.',
    );
  }
  const [blockRows, blockCols] = block;
  const [rows, cols] = ref.shape;
  const needed = [Math.ceil(rows / blockRows), Math.ceil(cols / blockCols)];
  if (ref.shape.length !== 2 || String(scales.shape) !== String(needed)) {
    throw new InvalidInputError(
      `${scales.file}: tensor "${name}" is [${scales.shape.join(', ')}]; "${ref.name}" [${ref.shape.join(', ')}] in blocks of ` +
        `${blockRows} x ${blockCols} needs ${ref.shape.length === 2 ? `[${needed.join(', ')}]` : 'two dimensions'}.`,
      'check that quantization_config.weight_block_size belongs to these weights.',
    );
  }
  if (!FLOAT_DTYPES.includes(scales.dtype)) {
    throw new InvalidInputError(
      `${scales.file}: tensor "${name}" has dtype ${scales.dtype}; scales need one of ${FLOAT_DTYPES.join(', ')}.`,
      'convert the original checkpoint instead.',
    );
  }
  const source: PackedSource = {
    kind: 'packed',
    layout: 'deepseek_fp8',
    parts: { codes: ref, scales },
    parameters: {
      weight_block_size: [blockRows, blockCols],
      ...(powers && arePowers(scales, powers) ? { powers: true } : {}),
    },
    name: ref.name,
    rows,
    cols,
  };
  return { name: ref.name, shape: ref.shape, source };
}

/** Whether every scale is a power of two that E8M0 has: a float32 without sign and mantissa, no subnormal. */
function arePowers(scales: TensorRef, values: StoredValues): boolean {
  const found = new Float32Array(scales.shape.reduce((product, each) => product * each, 1));
  widen(scales.dtype, values.read(scales), found);
  return found.every(
    (scale) => (bitsOf(scale) & 0x807fffff) === 0 && bitsOf(scale) >>> 23 !== 0 && Number.isFinite(scale),
  );
}

function blocksOf(source: PackedSource): { blockRows: number; blockCols: number } {
  const [blockRows, blockCols] = source.parameters.weight_block_size as number[];
  return { blockRows, blockCols };
}
