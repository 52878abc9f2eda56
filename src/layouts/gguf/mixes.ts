import type { ContainedTensor } from '../../core/dressing.js';
import { GGML_TYPES } from '../../core/gguf.js';
import type { JsonObject } from '../../core/json.js';
import { own } from '../../core/own.js';
import { familyOf } from './families.js';

/** Schemes of most matrices by what `--weights` calls a mix of schemes. */
export const MIXES: Record<string, string> = own({ q4_k_s: 'q4_k', q4_k_m: 'q4_k', q5_k_s: 'q5_k', q5_k_m: 'q5_k' });

/** `general.file_type` (llama.h, enum llama_ftype) by scheme or mix. A lone K-quant has none: that of the small mix. */
export const FILE_TYPES: Record<string, number> = own({
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q8_0: 7,
  q5_0: 8,
  q5_1: 9,
  q4_k: 14,
  q4_k_s: 14,
  q4_k_m: 15,
  q5_k: 16,
  q5_k_s: 16,
  q5_k_m: 17,
  q6_k: 18,
  bf16: 32,
});

export const isFloat = (scheme: string): boolean => ['f32', 'f16', 'bf16'].includes(scheme);

/** Whether llama.cpp quantizes a tensor: a matrix, no norm and no router (src/llama-quant.cpp, tensor_allows_quantization). */
export function mayQuantize({ name, shape, rows }: ContainedTensor): boolean {
  if (shape.length < 2 || rows < 2 || !name.endsWith('.weight')) return false;
  return !name.endsWith('_norm.weight') && !name.endsWith('.ffn_gate_inp.weight');
}

/** A scheme that a tensor's columns allow in place of `scheme` (tensor_type_fallback). */
export function fitting(scheme: string, cols: number): string {
  const divides = (id: string) => cols % GGML_TYPES[id].block === 0;
  if (divides(scheme)) return scheme;
  const smaller: Record<string, string> = { q4_k: 'q5_0', q5_k: 'q5_1', q6_k: 'q8_0' };
  const fallback = smaller[scheme] ?? scheme;
  return divides(fallback) ? fallback : 'f16';
}

/**
 * The scheme of a tensor where `wanted` is a scheme or a mix, as llama-quantize chooses it without an importance matrix
 * (llama_tensor_get_type): the head in q6_k, in a mix more bits for some v and down matrices.
 */
export function schemeOf(tensor: ContainedTensor, wanted: string, config: JsonObject): string {
  if (!mayQuantize(tensor)) return 'f32';
  const main = MIXES[wanted] ?? wanted;
  if (isFloat(main)) return main;
  return fitting(mixed(tensor, main, wanted, config), tensor.cols);
}

function mixed({ name, cols }: ContainedTensor, main: string, wanted: string, config: JsonObject): string {
  const isHead = name === 'output.weight' || (config.tie_word_embeddings === true && name === 'token_embd.weight');
  if (isHead) return cols % GGML_TYPES[main].block !== 0 || main === 'q8_0' ? 'q8_0' : 'q6_k';
  const size = wanted.at(-1);
  const isMix = Object.hasOwn(MIXES, wanted);
  const layers = config.num_hidden_layers as number;
  const experts = expertsOf(config);
  const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
  const isSmall = isMix && size === 's' && main === 'q4_k';
  const isMedium = isMix && size === 'm';
  const has = (part: string) => name.includes(part);
  if (has('attn_qkv.weight') || has('attn_v.weight')) {
    let scheme = main;
    if (isMedium && getsMoreBits(layer, layers)) scheme = 'q6_k';
    else if (isSmall && layer < 4) scheme = 'q5_k';
    if (is70B(config) && scheme === 'q4_k') scheme = 'q5_k';
    return experts === 8 ? 'q8_0' : scheme;
  }
  if (has('attn_k.weight')) return experts === 8 ? 'q8_0' : main;
  if (has('attn_output.weight')) return experts === 8 && isMix && main === 'q4_k' ? 'q5_k' : main;
  if (has('ffn_down')) {
    if (isMedium && getsMoreBits(layer, layers)) return 'q6_k';
    if (isSmall && layer < Math.floor(layers / 8)) return 'q5_k';
  }
  return main;
}

/** The first and the last eighth of the layers and every third between (use_more_bits). */
function getsMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

export function expertsOf(config: JsonObject): number {
  const count = config.num_local_experts ?? config.num_experts ?? config.n_routed_experts ?? 0;
  return familyOf(config).experts ? (count as number) : 0;
}

/** llama.cpp's LLM_TYPE_70B: eighty layers that share keys and values among heads. */
function is70B(config: JsonObject): boolean {
  if (config.num_hidden_layers !== 80) return false;
  const { arch } = familyOf(config);
  return arch === 'qwen2' || (arch === 'llama' && config.num_attention_heads !== config.num_key_value_heads);
}
