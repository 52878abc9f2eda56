import { own } from './own.js';
/** The nouns of GGUF (ggml/docs/gguf.md): metadata, tensors and their types. Plain data throughout. */

export type GgufScalar =
  | 'u8'
  | 'i8'
  | 'u16'
  | 'i16'
  | 'u32'
  | 'i32'
  | 'f32'
  | 'bool'
  | 'string'
  | 'u64'
  | 'i64'
  | 'f64';

/** One value of the metadata, or a list of one type. */
export type GgufValue =
  | { type: GgufScalar; value: number | boolean | string }
  | { type: GgufScalar; values: (number | boolean | string)[] };

export type GgufMetadata = Record<string, GgufValue>;

/** Type of a tensor: its number in ggml.h, and `bytes` for `block` values of a row. */
export interface GgmlType {
  number: number;
  block: number;
  bytes: number;
}

/** Types by the id of the scheme that has their bytes. */
export const GGML_TYPES: Record<string, GgmlType> = own({
  f32: { number: 0, block: 1, bytes: 4 },
  f16: { number: 1, block: 1, bytes: 2 },
  bf16: { number: 30, block: 1, bytes: 2 },
  q4_0: { number: 2, block: 32, bytes: 18 },
  q4_1: { number: 3, block: 32, bytes: 20 },
  q5_0: { number: 6, block: 32, bytes: 22 },
  q5_1: { number: 7, block: 32, bytes: 24 },
  q8_0: { number: 8, block: 32, bytes: 34 },
  q4_k: { number: 12, block: 256, bytes: 144 },
  q5_k: { number: 13, block: 256, bytes: 176 },
  q6_k: { number: 14, block: 256, bytes: 210 },
});

/** Names of the other types, for messages about them. */
export const OTHER_GGML_TYPES: Record<number, string> = {
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
};

/** Longest name of a tensor: ggml's GGML_MAX_NAME less its end. */
export const MAX_TENSOR_NAME = 63;

/** A tensor of a file: `type` is an id of GGML_TYPES, `shape` has the columns last, as Hugging Face writes it. */
export interface GgufTensor {
  name: string;
  type: string;
  shape: number[];
}

/** Bytes of a tensor whose columns its type's blocks divide. */
export function ggufTensorBytes({ type, shape }: GgufTensor): number {
  const { block, bytes } = GGML_TYPES[type];
  return (shape.reduce((product, each) => product * each, 1) / block) * bytes;
}
