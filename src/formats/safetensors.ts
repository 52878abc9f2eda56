import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import type { TensorRef } from '../core/checkpoint.js';
import { DTYPE_BITS, type Dtype } from '../core/dtype.js';
import { InvalidInputError } from '../core/errors.js';
import type { JsonObject } from '../core/json.js';
import { quoted } from '../core/printable.js';
import { openInput } from './input-file.js';
import { POINTER_BYTES, refusePointer } from './lfs-pointer.js';
import { parseStrictJson } from './strict-json.js';

/** The format's own limit on the header (safetensors/src/tensor.rs). */
const MAX_HEADER_BYTES = 100_000_000;

/** A tensor without elements may have any shape, and rows are gone through: larger than any vocabulary. */
const LARGEST_OF_EMPTY = 1 << 24;

/** A safetensors file by its header alone. */
export interface SafetensorsHeader {
  file: string;
  size: number;
  headerSha256: string;
  metadata: Record<string, string>;
  tensors: Map<string, TensorRef>;
}

const AGAIN = 'download this file again.';

/** Reads exactly `nbytes` from `offset`. A file that ends before is an error, never a short answer. */
function readExactly(fd: number, file: string, offset: number, nbytes: number): Uint8Array {
  const bytes = new Uint8Array(nbytes);
  let done = 0;
  while (done < nbytes) {
    const got = readSync(fd, bytes, done, nbytes - done, offset + done);
    if (got === 0)
      throw new InvalidInputError(`${file}: ends at byte ${offset + done}; ${offset + nbytes} are needed.`, AGAIN);
    done += got;
  }
  return bytes;
}

/**
 * Reads and proves a safetensors header; no tensor byte is read. Offsets must be contiguous from 0 to the file's end,
 * sizes must be shape x dtype, names unique. Throws InvalidInputError that names file and tensor.
 * Follows safetensors/src/tensor.rs and is stricter: a name that stands twice is refused.
 */
export function readSafetensorsHeader(file: string): SafetensorsHeader {
  const { descriptor: fd, size } = openInput(file);
  try {
    const name = basename(file);
    if (size < 8) {
      throw new InvalidInputError(
        `${name}: the header is too small: the file has ${size} bytes, its length alone takes 8.`,
        AGAIN,
      );
    }
    refusePointer(name, readExactly(fd, file, 0, Math.min(size, POINTER_BYTES)));
    const length = Buffer.from(readExactly(fd, file, 0, 8)).readBigUInt64LE(0);
    if (length > BigInt(MAX_HEADER_BYTES)) {
      throw new InvalidInputError(
        `${name}: the header is too large: ${length} bytes; the format allows ${MAX_HEADER_BYTES}.`,
        AGAIN,
      );
    }
    const headerBytes = Number(length);
    if (8 + headerBytes > size) {
      throw new InvalidInputError(
        `${name}: the header length is invalid: ${headerBytes} bytes after byte 8, but the file has ${size}.`,
        AGAIN,
      );
    }
    const header = readExactly(fd, file, 8, headerBytes);
    const { metadata, tensors } = parseHeader(header, file, size);
    return { file, size, headerSha256: createHash('sha256').update(header).digest('hex'), metadata, tensors };
  } finally {
    closeSync(fd);
  }
}

function parseHeader(header: Uint8Array, file: string, size: number) {
  const name = basename(file);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    throw new InvalidInputError(`${name}: the header is not UTF-8.`, AGAIN);
  }
  let json: JsonObject;
  try {
    json = parseStrictJson(text);
  } catch (error) {
    throw new InvalidInputError(`${name}: the header is not valid JSON: ${(error as Error).message}.`, AGAIN);
  }
  const metadata = metadataOf(json.__metadata__, name);
  const start = 8 + header.byteLength;
  const tensors = new Map<string, TensorRef>();
  for (const [key, value] of Object.entries(json)) {
    if (key !== '__metadata__') tensors.set(key, tensorOf(key, value, file, start));
  }
  proveContiguous([...tensors.values()], name, start, size);
  return { metadata, tensors };
}

function metadataOf(value: JsonObject[string] | undefined, name: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (
    typeof value !== 'object' ||
    Array.isArray(value) ||
    Object.values(value).some((each) => typeof each !== 'string')
  ) {
    throw new InvalidInputError(`${name}: "__metadata__" must hold strings by name.`, AGAIN);
  }
  return value as Record<string, string>;
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function tensorOf(key: string, value: JsonObject[string], file: string, start: number): TensorRef {
  const where = `${basename(file)}: tensor ${quoted(key)}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInputError(`${where} is described by ${quoted(value)}; needed is an object.`, AGAIN);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BITS, dtype)) {
    throw new InvalidInputError(`${where} has dtype ${quoted(dtype ?? null)}, which the format does not know.`, AGAIN);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw new InvalidInputError(
      `${where} has shape ${quoted(shape ?? null)}; needed is a list of integers of 0 or more.`,
      AGAIN,
    );
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new InvalidInputError(
      `${where} has data_offsets ${quoted(offsets ?? null)}; needed are two integers.`,
      AGAIN,
    );
  }
  const [begin, end] = offsets as number[];
  if (end < begin)
    throw new InvalidInputError(`${where} has invalid offsets: it ends at ${end}, before its begin ${begin}.`, AGAIN);
  const elements = (shape as number[]).reduce((product, each) => product * BigInt(each), 1n);
  const bits = elements * BigInt(DTYPE_BITS[dtype as Dtype]);
  if (bits > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new InvalidInputError(`${where} overflows: ${dtype} ${quoted(shape)} is more than can be counted.`, AGAIN);
  }
  if (elements === 0n && (shape as number[]).some((each) => each > LARGEST_OF_EMPTY)) {
    throw new InvalidInputError(
      `${where} holds nothing, but its shape ${quoted(shape)} claims rows or columns beyond any model.`,
      AGAIN,
    );
  }
  if (bits % 8n !== 0n) {
    throw new InvalidInputError(`${where} is misaligned: ${dtype} ${quoted(shape)} ends inside a byte.`, AGAIN);
  }
  if (bits / 8n !== BigInt(end - begin)) {
    throw new InvalidInputError(
      `${where} spans ${end - begin} bytes; ${dtype} ${quoted(shape)} needs ${bits / 8n}.`,
      AGAIN,
    );
  }
  return {
    name: key,
    dtype: dtype as Dtype,
    shape: shape as number[],
    file,
    offset: start + begin,
    nbytes: end - begin,
  };
}

/** Tensors must follow each other without hole or overlap, from the first data byte to the end of the file. */
function proveContiguous(tensors: TensorRef[], name: string, start: number, size: number): void {
  const ordered = [...tensors].sort((a, b) => a.offset - b.offset || a.nbytes - b.nbytes);
  let expected = start;
  for (const tensor of ordered) {
    if (tensor.offset !== expected) {
      const kind = tensor.offset > expected ? 'leaves a hole' : 'overlaps the one before it';
      throw new InvalidInputError(
        `${name}: tensor ${quoted(tensor.name)} has invalid offsets: it begins at byte ${tensor.offset - start} of the data and ${kind}; needed is ${expected - start}.`,
        AGAIN,
      );
    }
    expected = tensor.offset + tensor.nbytes;
  }
  if (expected !== size) {
    throw new InvalidInputError(
      `${name}: the metadata covers ${expected} bytes but the file has ${size}: it is ${expected > size ? 'truncated' : 'longer than its tensors'}.`,
      AGAIN,
    );
  }
}

/** The bytes of one stored tensor, for what is small: goldens, scales, calibration. */
export function readTensor(ref: TensorRef): Uint8Array {
  const { descriptor: fd } = openInput(ref.file);
  try {
    return readExactly(fd, ref.file, ref.offset, ref.nbytes);
  } finally {
    closeSync(fd);
  }
}
