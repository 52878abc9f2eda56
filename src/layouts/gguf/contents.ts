import type { ContainedTensor, Container } from '../../core/dressing.js';
import { InvalidInputError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { isRotaryBuffer } from '../../core/matrix-kinds.js';
import type { LogicalTensor, WeightSource } from '../../core/weights.js';
import { type Family, familyOf } from './families.js';
import { llamaCppLimits } from './limits.js';
import { compareNames, ggufNames } from './names.js';
import { ropeFactorTensors } from './rope-factors.js';

type Tensors = ReadonlyMap<string, LogicalTensor>;

/** Rows of one head of q or k as GGUF has them: pairs side by side instead of halves one after the other. */
export function interleavedHead(headRows: number): number[] {
  return Array.from({ length: headRows }, (_, row) => (row >> 1) + (row & 1) * (headRows / 2));
}

/** Rows of a matrix of `heads` heads in GGUF's order. */
function interleaved(rows: number, heads: number): number[] {
  const headRows = rows / heads;
  const head = interleavedHead(headRows);
  return Array.from({ length: rows }, (_, row) => row - (row % headRows) + head[row % headRows]);
}

/**
 * The tensors of a GGUF file in their order, each with where it comes from. `config` is complete: every key that the
 * family reads has its value. Throws InvalidInputError for a tensor that the family has no name for, and for experts
 * that are missing.
 */
export function ggufTensors(config: JsonObject, tensors: Tensors): ReturnType<Container['tensors']> {
  const family = familyOf(config);
  const notes = llamaCppLimits(config);
  const nameOf = ggufNames(family);
  const found: ContainedTensor[] = [];
  const experts = new Map<string, Map<number, LogicalTensor>>();
  let beyond = 0;
  for (const tensor of tensors.values()) {
    if (isLeftOut(tensor.name, config)) {
      if (isBeyondLast(tensor.name, config)) beyond++;
      continue;
    }
    if (family.splitsKeyValue && tensor.name.endsWith('.kv_b_proj.weight')) {
      found.push(...splitKeyValue(tensor, config));
      continue;
    }
    const mapped = nameOf(tensor.name);
    if (!mapped) {
      throw new InvalidInputError(
        `tensor "${tensor.name}" has no place in a GGUF file of architecture ${family.arch}.`,
        'check that config.json belongs to these weights.',
      );
    }
    if (mapped.expert === undefined) found.push(single(mapped.name, tensor, family, config));
    else {
      const group = experts.get(mapped.name) ?? new Map<number, LogicalTensor>();
      experts.set(mapped.name, group.set(mapped.expert, tensor));
    }
  }
  for (const [name, group] of experts) found.push(merged(name, group));
  found.push(...ropeFactorTensors(config));
  if (beyond > 0) notes.push(`left out: ${beyond} tensors of layers that predict further tokens.`);
  return { tensors: found.sort((a, b) => compareNames(a.name, b.name)), arch: family.arch, notes };
}

/** A tied head, buffers of frequencies, and layers beyond the last, which predict further tokens. */
function isLeftOut(name: string, config: JsonObject): boolean {
  if (name === 'lm_head.weight' && config.tie_word_embeddings === true) return true;
  if (isRotaryBuffer(name)) return true;
  return isBeyondLast(name, config);
}

function isBeyondLast(name: string, config: JsonObject): boolean {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  return layer !== undefined && Number(layer) >= (config.num_hidden_layers as number);
}

function single(
  name: string,
  { name: from, shape, source }: LogicalTensor,
  family: Family,
  config: JsonObject,
): ContainedTensor {
  let weight: WeightSource = from;
  const heads = /\.attn_q\.(weight|bias)$/.test(name)
    ? config.num_attention_heads
    : /\.attn_k\.(weight|bias)$/.test(name)
      ? config.num_key_value_heads
      : undefined;
  if (family.interleaves && heads !== undefined) {
    // a bias is one row; its columns are what the rows of a matrix are
    const order = interleaved(shape[0], heads as number);
    weight =
      shape.length === 1 ? { transpose: { permuteRows: { transpose: from }, order } } : { permuteRows: from, order };
  }
  if (family.normsPlusOne && /norm\.weight$/.test(from)) weight = { plus: from, constant: 1 };
  return { name, shape, rows: source.rows, cols: source.cols, content: { source: weight, from: [from] } };
}

/** Experts in their order as one tensor [experts, rows, columns]. */
function merged(name: string, group: Map<number, LogicalTensor>): ContainedTensor {
  const all = Array.from({ length: group.size }, (_, expert) => {
    const tensor = group.get(expert);
    if (tensor) return tensor;
    const [other] = group.values();
    throw new InvalidInputError(
      `experts 0 to ${group.size - 1} of "${name}" must all be there; expert ${expert} is missing beside "${other.name}".`,
      'check that the weights were saved whole.',
    );
  });
  const [{ shape, source }] = all;
  const from = all.map((tensor) => tensor.name);
  return {
    name,
    shape: [all.length, ...shape],
    rows: all.length * source.rows,
    cols: source.cols,
    content: { source: { concat: from }, from },
  };
}

/** kv_b_proj [heads * (nope + v), rank] as k_b [heads, rank, nope], transposed, and v_b [heads, v, rank]. */
function splitKeyValue({ name, shape }: LogicalTensor, config: JsonObject): ContainedTensor[] {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  const heads = config.num_attention_heads as number;
  const nope = config.qk_nope_head_dim as number;
  const value = config.v_head_dim as number;
  const [rows, rank] = shape;
  if (rows !== heads * (nope + value)) {
    throw new InvalidInputError(
      `tensor "${name}" has ${rows} rows; ${heads} heads of ${nope} + ${value} have ${heads * (nope + value)}.`,
      'check that config.json belongs to these weights.',
    );
  }
  const starts = Array.from({ length: heads }, (_, head) => head * (nope + value));
  const keys = starts.map((from) => ({ transpose: { rows: name, from, to: from + nope } }));
  const values = { rows: name, from: nope, to: nope + value, stride: nope + value, count: heads };
  const tensor = (part: string, size: [number, number], source: WeightSource): ContainedTensor => ({
    name: `blk.${layer}.attn_${part}.weight`,
    shape: [heads, ...size],
    rows: heads * size[0],
    cols: size[1],
    content: { source, from: [name] },
  });
  return [tensor('k_b', [rank, nope], { concat: keys }), tensor('v_b', [value, rank], values)];
}
