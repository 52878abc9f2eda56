import type { TensorRef } from '../../core/checkpoint.js';
import { widen } from '../../core/dtype.js';
import { InvalidInputError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { readSafetensorsHeader, readTensor } from '../../formats/safetensors.js';
import { type LogitRows, reducedRows, wholeRows } from './stored-logits.js';

/** Token ids with the logits that a reference gave them. */
export interface StoredSet {
  /** Name of the token set: `text` for the tensor `text.input_ids`, and `input_ids`, `long.input_ids` as they stand. */
  name: string;
  sequences: number[][];
  vocabulary: number;
  logits: LogitRows;
}

/** A golden.safetensors, or what `--save-reference` and reference commands write: docs/reference-command.md. */
export interface StoredReference {
  file: string;
  sets: StoredSet[];
  greedy: { prompt: number[]; generated: number[] } | null;
  /** config.json and generation_config.json of the checkpoint behind it, where the file says. */
  config: JsonObject | null;
  generationConfig: JsonObject;
}

const setName = (tensor: string): string =>
  tensor === 'input_ids' || tensor === 'long.input_ids' ? tensor : tensor.slice(0, -'.input_ids'.length);

/**
 * Reads a reference file's header and ids; `idsFile` is where the ids are if not beside the logits. Throws
 * InvalidInputError where there are no ids with logits.
 */
export function openStoredReference(file: string, idsFile = file): StoredReference {
  const { tensors, metadata } = readSafetensorsHeader(file);
  if (idsFile !== file) for (const [name, ref] of readSafetensorsHeader(idsFile).tensors) tensors.set(name, ref);
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
  const rows = (name: string) => {
    const ref = tensors.get(name);
    return ref && idRows(file, ref)[0];
  };
  const [prompt, generated] = [rows('prompt_ids'), rows('generated')];
  return {
    file,
    sets,
    greedy: prompt && generated ? { prompt, generated } : null,
    config: objectIn(file, metadata.config),
    generationConfig: objectIn(file, metadata.generation_config) ?? {},
  };
}

function storedSet(file: string, tensors: Map<string, TensorRef>, name: string): StoredSet | undefined {
  const prefix = name.slice(0, -'input_ids'.length);
  const full = tensors.get(`${prefix}logits`);
  const best = tensors.get(`${prefix}top.logits`);
  if (!full && !best) return undefined;
  const padded = idRows(file, tensors.get(name) as TensorRef);
  const width = padded[0]?.length ?? 0;
  const lengthsOf = tensors.get(`${prefix}lengths`);
  const lengths = lengthsOf ? idRows(file, lengthsOf).flat() : padded.map((each) => each.length);
  if (lengths.length !== padded.length || lengths.some((each) => each < 1 || each > width)) {
    throw damaged(file, `"${prefix}lengths" does not fit [${padded.length}, ${width}] ids`);
  }
  const sequences = padded.map((each, row) => each.slice(0, lengths[row]));
  const places = sequences.flatMap((each, row) => each.map((_, position) => row * width + position));
  const positions = padded.length * width;
  const base = { name: setName(name), sequences };
  if (full) {
    const vocabulary = full.shape.at(-1) ?? 0;
    checkSize(file, full, positions * vocabulary);
    return { ...base, vocabulary, logits: wholeRows(full, vocabulary, places) };
  }
  const parts = ['top.ids', 'top.logits', 'logsumexp', 'vocabulary'].map((part) => tensors.get(`${prefix}${part}`));
  if (parts.some((part) => !part)) {
    throw damaged(file, `"${prefix}top.logits" stands without top.ids, logsumexp or vocabulary`);
  }
  const [topIds, topLogits, logSumExp, vocabularySize] = parts as TensorRef[];
  const vocabulary = idRows(file, vocabularySize)[0][0];
  checkSize(file, logSumExp, positions);
  const kept = topLogits.shape.at(-1) ?? 0;
  checkSize(file, topIds, positions * kept);
  checkSize(file, topLogits, positions * kept);
  const targets = tensors.get(`${prefix}target.logits`);
  if (targets) checkSize(file, targets, positions);
  const ids = Int32Array.from(idRows(file, topIds).flat());
  if (ids.some((id) => id < 0 || id >= vocabulary)) {
    throw damaged(file, `"${topIds.name}" has ids outside of the vocabulary of ${vocabulary}`);
  }
  const nextIds = sequences.flatMap((each) => each.map((_, at) => each[at + 1] ?? -1));
  return {
    ...base,
    vocabulary,
    logits: reducedRows({
      vocabulary,
      ids: Int32Array.from(places.flatMap((place) => Array.from(ids.subarray(place * kept, (place + 1) * kept)))),
      logits: at(floats(topLogits), places, kept),
      logSumExp: at(floats(logSumExp), places, 1),
      targets: targets ? { ids: nextIds, logits: at(floats(targets), places, 1) } : null,
    }),
  };
}

/** The rows of `width` values at these places. */
function at(values: Float32Array, places: number[], width: number): Float32Array {
  const rows = new Float32Array(places.length * width);
  places.forEach((place, row) => {
    rows.set(values.subarray(place * width, (place + 1) * width), row * width);
  });
  return rows;
}

const damaged = (file: string, what: string) => new InvalidInputError(`${file}: ${what}.`, 'make the reference again.');

function objectIn(file: string, text: string | undefined): JsonObject | null {
  if (text === undefined) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // Said below.
  }
  throw damaged(file, 'a config in its metadata is no JSON object');
}

function checkSize(file: string, ref: TensorRef, values: number): void {
  const count = ref.shape.reduce((product, each) => product * each, 1);
  if (count === values && values > 0) return;
  throw damaged(file, `"${ref.name}" is [${ref.shape.join(', ')}]; its ids need ${values} values`);
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
    throw damaged(file, `"${ref.name}" is ${ref.dtype}; ids are I64 or I32`);
  }
  const aligned = buffer.slice(byteOffset, byteOffset + byteLength);
  const values =
    ref.dtype === 'I64' ? Array.from(new BigInt64Array(aligned), Number) : Array.from(new Int32Array(aligned));
  const width = ref.shape.at(-1) ?? 1;
  return Array.from({ length: width === 0 ? 0 : values.length / width }, (_, row) =>
    values.slice(row * width, (row + 1) * width),
  );
}
