import { basename, dirname, join } from 'node:path';
import type { FileRange } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import { type GgufMetadata, type GgufTensor, ggufTensorBytes } from '../../core/gguf.js';
import type { Inlay, PlannedFile } from '../../core/plan.js';
import { isInput } from '../input-file.js';
import { aligned, layoutGguf } from './header.js';
import { type GgufHeader, readGgufHeader } from './reader.js';

/** Where tensors stand in the files of a model, and the bytes before them. */
export interface ContainerLayout {
  files: PlannedFile[];
  places: Map<string, FileRange>;
  headers: Inlay[];
}

/** A name of a model in several files, as llama.cpp's llama_split_path has it; parts count from 1. */
export function ggufPartName(stem: string, part: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, '0');
  return `${stem}-${digits(part)}-of-${digits(count)}.gguf`;
}

/** What a file name says of its part in a model of several files; undefined for other names. */
export function ggufPartOf(name: string): { stem: string; part: number; count: number } | undefined {
  const [, stem, part, count] = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/.exec(name) ?? [];
  return stem === undefined ? undefined : { stem, part: Number(part), count: Number(count) };
}

/**
 * Lays out a model in files with at most `maxBytes` bytes of tensors each, unless one tensor is larger: one file of this
 * name, or parts named after it. As llama.cpp's gguf-split has it, the first part has the model's metadata, and each says
 * which of how many it is.
 */
export function layoutGgufParts(
  stem: string,
  metadata: GgufMetadata,
  tensors: readonly GgufTensor[],
  maxBytes: number,
): ContainerLayout {
  const parts: GgufTensor[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const nbytes = aligned(ggufTensorBytes(tensor));
    if (filled > 0 && filled + nbytes > maxBytes) {
      parts.push([]);
      filled = 0;
    }
    parts[parts.length - 1].push(tensor);
    filled += nbytes;
  }
  const layout: ContainerLayout = { files: [], places: new Map(), headers: [] };
  for (const [index, part] of parts.entries()) {
    const isOne = parts.length === 1;
    const keys = isOne ? {} : partKeys(index, parts.length, tensors.length);
    const { header, places, nbytes } = layoutGguf(index === 0 ? { ...metadata, ...keys } : keys, part);
    const file = isOne ? `${stem}.gguf` : ggufPartName(stem, index + 1, parts.length);
    layout.files.push({ name: file, nbytes });
    layout.headers.push({ file, offset: 0, base64: Buffer.from(header).toString('base64') });
    for (const [name, place] of places) layout.places.set(name, { file, ...place });
  }
  return layout;
}

const partKeys = (index: number, count: number, tensors: number): GgufMetadata => ({
  'split.no': { type: 'u16', value: index },
  'split.count': { type: 'u16', value: count },
  'split.tensors.count': { type: 'i32', value: tensors },
});

/** One file of a model. */
export interface GgufPart {
  file: string;
  header: GgufHeader;
}

/**
 * Reads the headers of a model in one GGUF file or in several, of which `file` is the first. Throws InvalidInputError
 * where a part is missing, is another than its name says, or has a tensor that another has too.
 */
export function readGgufParts(file: string): GgufPart[] {
  const first = { file, header: readGgufHeader(file) };
  const count = numberAt(first, 'split.count') ?? 1;
  if (count <= 1) return [first];
  const named = ggufPartOf(basename(file));
  if (named?.part !== 1 || named.count !== count) {
    throw new InvalidInputError(
      `${file}: is one of ${count} files of a model, and not named so.`,
      `give all of them their names again, <model>-00001-of-${String(count).padStart(5, '0')}.gguf for the first.`,
    );
  }
  const nameOf = (part: number) => join(dirname(file), ggufPartName(named.stem, part, count));
  const names = Array.from({ length: count }, (_, index) => nameOf(index + 1));
  const missing = names.filter((name) => !isInput(name));
  if (missing.length > 0) {
    throw new InvalidInputError(
      `${missing[0]}: there is no such file; ${missing.length} of the ${count} files of this model are missing.`,
      'download all of them into one directory.',
    );
  }
  const parts = [first, ...names.slice(1).map((name) => ({ file: name, header: readGgufHeader(name) }))];
  checkParts(parts, count);
  return parts;
}

function checkParts(parts: GgufPart[], count: number): void {
  const refuse = (file: string, found: string): never => {
    throw new InvalidInputError(`${file}: ${found}.`, 'download all files of this model again.');
  };
  const files = new Map<string, string>();
  for (const [index, part] of parts.entries()) {
    const [number, of] = [numberAt(part, 'split.no'), numberAt(part, 'split.count')];
    if (number !== index || of !== count) {
      const found = number === undefined ? 'is no part of a model' : `says that it is file ${number + 1} of ${of}`;
      refuse(part.file, `${found}; its name says ${index + 1} of ${count}`);
    }
    for (const { name } of part.header.tensors) {
      const other = files.get(name);
      if (other !== undefined) refuse(part.file, `tensor "${name}" stands in ${basename(other)} too`);
      files.set(name, part.file);
    }
  }
  const expected = numberAt(parts[0], 'split.tensors.count');
  if (expected !== undefined && expected !== files.size) {
    refuse(parts[0].file, `claims ${expected} tensors; its ${count} files have ${files.size}`);
  }
}

function numberAt({ header }: GgufPart, key: string): number | undefined {
  const stated = header.metadata[key];
  return stated && 'value' in stated && typeof stated.value === 'number' ? stated.value : undefined;
}
