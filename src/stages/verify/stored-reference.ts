import { widen } from '../../core/dtype.js';
import { InvalidInputError } from '../../core/errors.js';
import type { TensorRef } from '../../core/types.js';
import { readSafetensorsHeader, readTensor } from '../../formats/safetensors.js';

/** Token ids with the logits that a reference gave them. Sequences of a set are of equal length. */
export interface StoredSet {
  /** Name of the ids' tensor, as `long.input_ids`. */
  name: string;
  sequences: number[][];
  vocabulary: number;
  /** Whether only the best logits of each position are stored. */
  isReduced: boolean;
  /** Float32 [sequences * length, vocabulary], read anew at each call. */
  logits(): Float32Array;
  /** Hidden states by layer index, float32 [sequences * length, width]; those that the file has. */
  hiddenStates(): Map<number, Float32Array>;
}

/** A golden.safetensors, or what `--save-reference` and reference commands write: docs/verify-report.md. */
export interface StoredReference {
  file: string;
  sets: StoredSet[];
  greedy: { prompt: number[]; generated: number[] } | null;
}

/** Reads a reference file's header and ids. Throws InvalidInputError where it holds no ids with logits. */
export function openStoredReference(file: string): StoredReference {
  const { tensors } = readSafetensorsHeader(file);
  const sets: StoredSet[] = [];
  for (const name of tensors.keys()) {
    if (!/^(.+\.)?input_ids$/.test(name)) continue;
    const set = storedSet(file, tensors, name);
    if (set) sets.push(set);
  }
  if (sets.length === 0) {
    throw new InvalidInputError(
      `${file}: has no "input_ids" with "logits" beside them: it is no reference.`,
      'give a golden.safetensors, a file of --save-reference, or the directory of the original checkpoint.',
    );
  }
  const rows = (name: string) => (tensors.has(name) ? idRows(file, tensors.get(name) as TensorRef)[0] : undefined);
  const [prompt, generated] = [rows('prompt_ids'), rows('generated')];
  return { file, sets, greedy: prompt && generated ? { prompt, generated } : null };
}

function storedSet(file: string, tensors: Map<string, TensorRef>, name: string): StoredSet | undefined {
  const prefix = name.slice(0, -'input_ids'.length);
  const ids = tensors.get(name) as TensorRef;
  const full = tensors.get(`${prefix}logits`);
  const best = tensors.get(`${prefix}top.logits`);
  if (!full && !best) return undefined;
  const sequences = idRows(file, ids);
  const positions = sequences.reduce((sum, each) => sum + each.length, 0);
  const base = {
    name,
    sequences,
    hiddenStates: () => hiddenStates(tensors, prefix),
  };
  if (full) {
    const vocabulary = full.shape.at(-1) ?? 0;
    checkSize(file, full, positions * vocabulary);
    return { ...base, vocabulary, isReduced: false, logits: () => floats(full) };
  }
  const parts = ['top.ids', 'top.logits', 'logsumexp', 'vocabulary'].map((part) => tensors.get(`${prefix}${part}`));
  if (parts.some((part) => !part)) {
    throw new InvalidInputError(
      `${file}: "${prefix}top.logits" stands without top.ids, logsumexp or vocabulary.`,
      'save the reference again.',
    );
  }
  const [topIds, topLogits, logSumExp, vocabularySize] = parts as TensorRef[];
  const vocabulary = idRows(file, vocabularySize)[0][0];
  return {
    ...base,
    vocabulary,
    isReduced: true,
    logits: () => expand(idRows(file, topIds).flat(), floats(topLogits), floats(logSumExp), vocabulary),
  };
}

/**
 * Whole rows from the best logits of each position and the log-sum-exp: what is left of the probability is spread
 * evenly over the other tokens, so that a divergence is right up to that remainder.
 */
function expand(ids: number[], logits: Float32Array, logSumExp: Float32Array, vocabulary: number): Float32Array {
  const kept = logits.length / logSumExp.length;
  const rows = new Float32Array(logSumExp.length * vocabulary);
  logSumExp.forEach((total, position) => {
    const own = logits.subarray(position * kept, (position + 1) * kept);
    const share = own.reduce((sum, each) => sum + Math.exp(each - total), 0);
    const rest = Math.max(1e-30, 1 - share) / Math.max(1, vocabulary - kept);
    const row = rows.subarray(position * vocabulary, (position + 1) * vocabulary).fill(total + Math.log(rest));
    own.forEach((each, rank) => {
      row[ids[position * kept + rank]] = each;
    });
  });
  return rows;
}

function hiddenStates(tensors: Map<string, TensorRef>, prefix: string): Map<number, Float32Array> {
  const states = new Map<number, Float32Array>();
  for (const [name, ref] of tensors) {
    const index = name.startsWith(`${prefix}hidden_states.`)
      ? Number(name.slice(`${prefix}hidden_states.`.length))
      : Number.NaN;
    if (Number.isInteger(index)) states.set(index, floats(ref));
  }
  return states;
}

function checkSize(file: string, ref: TensorRef, values: number): void {
  const count = ref.shape.reduce((product, each) => product * each, 1);
  if (count === values && values > 0) return;
  throw new InvalidInputError(
    `${file}: "${ref.name}" is [${ref.shape.join(', ')}]; its ids need ${values} values.`,
    'make the reference again.',
  );
}

function floats(ref: TensorRef): Float32Array {
  const values = new Float32Array(ref.shape.reduce((product, each) => product * each, 1));
  widen(ref.dtype, readTensor(ref), values);
  return values;
}

/** A matrix of ids as rows; a vector is one row. */
function idRows(file: string, ref: TensorRef): number[][] {
  const bytes = readTensor(ref);
  const { buffer, byteOffset, byteLength } = bytes;
  if (ref.dtype !== 'I64' && ref.dtype !== 'I32') {
    throw new InvalidInputError(`${file}: "${ref.name}" is ${ref.dtype}; ids are I64 or I32.`, 'make it again.');
  }
  const aligned = buffer.slice(byteOffset, byteOffset + byteLength);
  const values =
    ref.dtype === 'I64' ? Array.from(new BigInt64Array(aligned), Number) : Array.from(new Int32Array(aligned));
  const width = ref.shape.at(-1) ?? 1;
  return Array.from({ length: width === 0 ? 0 : values.length / width }, (_, row) =>
    values.slice(row * width, (row + 1) * width),
  );
}
