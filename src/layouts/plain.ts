import { codesBesideScales } from '../core/codes.js';
import type { Dressing } from '../core/dressing.js';
import { type Dtype, FLOAT_DTYPES } from '../core/dtype.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import type { Json, JsonObject } from '../core/json.js';
import type { Layout } from '../core/layout.js';
import { own } from '../core/own.js';
import type { LogicalTensor } from '../core/weights.js';
import bf16 from '../schemes/bf16.js';
import f16 from '../schemes/f16.js';
import f32 from '../schemes/f32.js';

/** Rows and columns of a stored tensor: its last axis is the columns, a vector is one row. */
export function matrixOf(shape: number[]): { rows: number; cols: number } {
  const cols = shape.at(-1) ?? 1;
  return { rows: shape.slice(0, -1).reduce((product, each) => product * each, 1), cols };
}

const FLOATS: Record<string, { scheme: typeof bf16; dtype: Dtype; torch: string }> = own({
  bf16: { scheme: bf16, dtype: 'BF16', torch: 'bfloat16' },
  f16: { scheme: f16, dtype: 'F16', torch: 'float16' },
  f32: { scheme: f32, dtype: 'F32', torch: 'float32' },
});

/**
 * Every matrix in one float type, as deepseek-ai/DeepSeek-V3's fp8_cast_bf16.py has it; routers and vectors keep the
 * type in which they are stored.
 */
const dressing: Dressing = {
  defaults: bf16.defaults,

  check({ scheme }, flag) {
    if (scheme in FLOATS) return;
    throw new UsageError(
      `${flag} ${scheme}: layout plain stores ${Object.keys(FLOATS).join(', ')}.`,
      `${flag} bf16, or a layout that stores ${scheme}.`,
    );
  },

  quantizes: ({ kind = '' }) => ['embedding', 'lm_head', 'linear', 'transposed'].includes(kind),
  rowQuantum: () => 1,
  parts: (rows, cols, args) => ({
    codes: { nbytes: FLOATS[args.scheme].scheme.layout(rows, cols, args).codes.nbytes },
  }),
  pack: ({ codes }, _rows, _cols, _args, out) => out.codes.set(codes),
  tensors: ({ name, rows, cols }, { scheme }) => [
    { name, dtype: FLOATS[scheme].dtype, shape: [rows, cols], content: { part: 'codes' } },
  ],
  config({ config, args }): JsonObject {
    const key = 'dtype' in config ? 'dtype' : 'torch_dtype';
    return { [key]: FLOATS[args.scheme].torch };
  },
};

const isNothing = (settings: Json) =>
  settings === null || (typeof settings === 'object' && Object.keys(settings).length === 0);

/** A checkpoint without quantization_config: every float tensor is a weight as it stands; integers are not weights. */
export default {
  // mlx writes its settings as "quantization"
  matches: (config) => isNothing(config.quantization_config ?? config.quantization ?? null),

  undress(tensors) {
    const codes = codesBesideScales(tensors);
    if (codes) {
      throw new InvalidInputError(
        `${codes.file}: tensor "${codes.name}" holds ${codes.dtype} codes beside scales, but config.json has no quantization_config that says how they are to be read.`,
        'download config.json again, and quantize_config.json, quant_config.json or hf_quant_config.json where the repository has one.',
      );
    }
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
  dressing,
} satisfies Layout;
