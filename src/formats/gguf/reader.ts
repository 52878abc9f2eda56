import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { InvalidInputError } from '../../core/errors.js';
import {
  GGML_TYPES,
  type GgufMetadata,
  type GgufScalar,
  type GgufTensor,
  type GgufValue,
  ggufTensorBytes,
  MAX_TENSOR_NAME,
  OTHER_GGML_TYPES,
} from '../../core/gguf.js';
import { own } from '../../core/own.js';
import { openInput } from '../input-file.js';
import { POINTER_BYTES, refusePointer } from '../lfs-pointer.js';
import { ALIGNMENT, aligned, GGUF_SCALARS, LIST, MAGIC } from './header.js';

/** What stands before the data of a GGUF file; offsets count from the file's start. */
export interface GgufHeader {
  metadata: GgufMetadata;
  tensors: (GgufTensor & { offset: number; nbytes: number })[];
  size: number;
  headerSha256: string;
}

const shownName = (name: string) => JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}...` : name);

const MAX_DIMENSIONS = 4;
/** Longer than any real key (65535 in gguf.md). */
const MAX_KEY_BYTES = 65535;
const SCALAR_BYTES: Record<GgufScalar, number> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  u64: 8,
  i64: 8,
  f64: 8,
};

/**
 * Reads the header of a GGUF file, version 2 or 3. Every count and length is held against the bytes that are left
 * before anything is allocated; names and keys are unique; the data of the tensors lies in their order, without holes,
 * inside the file. Throws InvalidInputError that says at which byte what was found.
 */
export function readGgufHeader(file: string): GgufHeader {
  const input = new ByteReader(file);
  try {
    return readHeader(file, input);
  } finally {
    input.close();
  }
}

function readHeader(file: string, input: ByteReader): GgufHeader {
  const refuse = (found: string, advice = 'download this file again.'): never => {
    throw new InvalidInputError(`${file}: ${found}`, advice);
  };
  refusePointer(file, input.peek(POINTER_BYTES));
  if (input.left < 24 || input.u32() !== MAGIC) refuse('does not start as a GGUF file does.', 'check the path.');
  const version = input.u32();
  if (version !== 2 && version !== 3) {
    const isSwapped = version > 0xffff;
    refuse(
      isSwapped ? 'is a big-endian GGUF file.' : `is of GGUF version ${version}; versions 2 and 3 are read.`,
      'convert the original checkpoint again with a current llama.cpp.',
    );
  }
  const tensorCount = input.u64();
  const keyCount = input.u64();
  // a tensor takes at least 32 bytes, a key 13
  if (tensorCount * 32 + keyCount * 13 > input.left) {
    refuse(`claims ${tensorCount} tensors and ${keyCount} keys; only ${input.left} bytes follow.`);
  }

  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < keyCount; index++) {
    const key = input.text(MAX_KEY_BYTES, 'a key of the metadata');
    if (metadata.has(key)) refuse(`the key ${shownName(key)} stands twice in its metadata.`);
    metadata.set(key, readValue(input, key));
  }
  const alignment = alignmentOf(metadata, refuse);

  const tensors: GgufHeader['tensors'] = [];
  const names = new Set<string>();
  let end = 0;
  for (let index = 0; index < tensorCount; index++) {
    const name = input.text(MAX_TENSOR_NAME, 'the name of a tensor');
    const shown = `tensor ${shownName(name)}`;
    if (names.has(name)) refuse(`${shown} stands twice.`);
    names.add(name);
    const dimensions = input.u32();
    if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
      refuse(`${shown} has ${dimensions} dimensions; 1 to ${MAX_DIMENSIONS} exist.`);
    }
    const shape = Array.from({ length: dimensions }, () => input.u64()).reverse();
    const type = typeOf(input.u32(), shown, refuse);
    const { block } = GGML_TYPES[type];
    const columns = shape[dimensions - 1];
    if (columns % block !== 0) refuse(`${shown} has ${columns} columns; ${type} needs a multiple of ${block}.`);
    const nbytes = ggufTensorBytes({ name, type, shape });
    const offset = input.u64();
    if (!Number.isSafeInteger(nbytes) || shape.some((size) => size < 1)) {
      refuse(`${shown} has the impossible shape [${shape.join(', ')}].`);
    }
    if (offset !== end) refuse(`${shown} starts at byte ${offset} of the data; the one before it ends at ${end}.`);
    end = aligned(offset + nbytes, alignment);
    tensors.push({ name, type, shape, offset, nbytes });
  }

  const headerBytes = input.position;
  const start = aligned(headerBytes, alignment);
  const last = tensors.at(-1);
  const needed = last ? start + last.offset + last.nbytes : headerBytes;
  if (input.size < needed) {
    refuse(`ends at byte ${input.size}; its tensors need ${needed}.`);
  }
  return {
    metadata: own(Object.fromEntries(metadata)),
    tensors: tensors.map((tensor) => ({ ...tensor, offset: start + tensor.offset })),
    size: input.size,
    headerSha256: input.sha256(),
  };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, refuse: (found: string) => never): number {
  const stated = metadata.get('general.alignment');
  if (!stated) return ALIGNMENT;
  const value = 'value' in stated ? stated.value : undefined;
  if (typeof value !== 'number' || value < 1 || value > 1 << 20 || (value & (value - 1)) !== 0) {
    return refuse(`general.alignment is ${JSON.stringify(value)}; needed is a power of two.`);
  }
  return value;
}

function typeOf(number: number, shown: string, refuse: (found: string, advice?: string) => never): string {
  const found = Object.entries(GGML_TYPES).find(([, type]) => type.number === number);
  if (found) return found[0];
  const name = OTHER_GGML_TYPES[number];
  return refuse(
    `${shown} is of ${name ? `type ${name}` : `an unknown type, ${number}`}; types that are read: ${Object.keys(GGML_TYPES).join(', ')}.`,
    'start from the original checkpoint or from a file of one of these types.',
  );
}

function readValue(input: ByteReader, key: string): GgufValue {
  const type = input.u32();
  if (type !== LIST)
    return { type: scalarType(input, type, key), value: readScalar(input, scalarType(input, type, key)) };
  const inner = scalarType(input, input.u32(), key);
  const count = input.u64();
  if (count * SCALAR_BYTES[inner] > input.left) {
    throw input.error(`${shownName(key)} claims a list of ${count}; only ${input.left} bytes follow`);
  }
  const values: (number | boolean | string)[] = [];
  for (let index = 0; index < count; index++) values.push(readScalar(input, inner));
  return { type: inner, values };
}

function scalarType(input: ByteReader, number: number, key: string): GgufScalar {
  const type = GGUF_SCALARS[number];
  if (type === undefined || type === 'list') {
    throw input.error(
      `${shownName(key)} is of type ${number}, which ${number === LIST ? 'may not be nested' : 'does not exist'}`,
    );
  }
  return type;
}

function readScalar(input: ByteReader, type: GgufScalar): number | boolean | string {
  switch (type) {
    case 'string':
      return input.looseText();
    case 'bool':
      return input.view(1).getUint8(0) !== 0;
    case 'u8':
      return input.view(1).getUint8(0);
    case 'i8':
      return input.view(1).getInt8(0);
    case 'u16':
      return input.view(2).getUint16(0, true);
    case 'i16':
      return input.view(2).getInt16(0, true);
    case 'u32':
      return input.u32();
    case 'i32':
      return input.view(4).getInt32(0, true);
    case 'f32':
      return input.view(4).getFloat32(0, true);
    case 'u64':
      return Number(input.view(8).getBigUint64(0, true));
    case 'i64':
      return Number(input.view(8).getBigInt64(0, true));
    default:
      return input.view(8).getFloat64(0, true);
  }
}

const CHUNK = 1 << 20;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Pieces of tokens may be no UTF-8. */
const looseUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** A file read from its start, a piece at a time. */
class ByteReader {
  readonly size: number;
  readonly #descriptor: number;
  #bytes = new Uint8Array(0);
  #start = 0;
  position = 0;

  constructor(readonly file: string) {
    const { descriptor, size } = openInput(file);
    this.#descriptor = descriptor;
    this.size = size;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  get left(): number {
    return this.size - this.position;
  }

  error(found: string): InvalidInputError {
    return new InvalidInputError(`${this.file}: byte ${this.position}: ${found}.`, 'download this file again.');
  }

  u32(): number {
    return this.view(4).getUint32(0, true);
  }

  /** A count or an offset. */
  u64(): number {
    const value = Number(this.view(8).getBigUint64(0, true));
    if (!Number.isSafeInteger(value)) throw this.error(`${value} is no possible count or offset`);
    return value;
  }

  text(most: number, what: string): string {
    const length = this.u64();
    if (length < 1 || length > most) throw this.error(`${what} has ${length} bytes; 1 to ${most} are possible`);
    try {
      return strictUtf8.decode(this.view(length));
    } catch {
      throw this.error(`${what} is not UTF-8`);
    }
  }

  looseText(): string {
    const length = this.u64();
    return looseUtf8.decode(this.view(length));
  }

  /** The next `nbytes`, or what is left of them, which are not passed. */
  peek(nbytes: number): Uint8Array {
    const { position } = this;
    const { buffer, byteOffset, byteLength } = this.view(Math.min(nbytes, this.left));
    this.position = position;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** The next `nbytes`, which are passed. */
  view(nbytes: number): DataView {
    if (nbytes > this.left) throw this.error(`${nbytes} bytes are needed, the file ends after ${this.left}`);
    if (this.position < this.#start || this.position + nbytes > this.#start + this.#bytes.byteLength)
      this.#refill(nbytes);
    const view = new DataView(this.#bytes.buffer, this.position - this.#start, nbytes);
    this.position += nbytes;
    return view;
  }

  /** SHA-256 of all bytes that were passed. */
  sha256(): string {
    const hash = createHash('sha256');
    const end = this.position;
    for (this.position = 0; this.position < end; ) {
      const view = this.view(Math.min(CHUNK, end - this.position));
      hash.update(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    }
    return hash.digest('hex');
  }

  #refill(nbytes: number): void {
    const bytes = new Uint8Array(Math.min(this.left, Math.max(nbytes, CHUNK)));
    let done = 0;
    while (done < bytes.byteLength) {
      const count = readSync(this.#descriptor, bytes, done, bytes.byteLength - done, this.position + done);
      if (count === 0) throw this.error('the file became shorter');
      done += count;
    }
    this.#bytes = bytes;
    this.#start = this.position;
  }
}
