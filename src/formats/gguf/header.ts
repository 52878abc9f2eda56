import {
  GGML_TYPES,
  type GgufMetadata,
  type GgufScalar,
  type GgufTensor,
  type GgufValue,
  ggufTensorBytes,
  MAX_TENSOR_NAME,
} from '../../core/gguf.js';

/** Numbers of the types of metadata in their order in gguf.md; a list is 9. */
export const GGUF_SCALARS: readonly (GgufScalar | 'list')[] = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'list',
  'u64',
  'i64',
  'f64',
];
export const LIST = 9;
export const MAGIC = 0x46554747;
export const VERSION = 3;
export const ALIGNMENT = 32;

/** A GGUF file before its data: the bytes up to it, and where each tensor's data goes, counted from the file's start. */
export interface GgufLayout {
  header: Uint8Array;
  places: Map<string, { offset: number; nbytes: number }>;
  nbytes: number;
}

/**
 * Lays out a GGUF file, version 3, little-endian (ggml/docs/gguf.md): metadata and tensors in their order, the data of
 * each tensor at a multiple of 32 bytes, zeros between them and after the last.
 */
export function layoutGguf(metadata: GgufMetadata, tensors: readonly GgufTensor[]): GgufLayout {
  const out = new ByteWriter();
  out.u32(MAGIC);
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.string(key);
    out.value(value);
  }
  let end = 0;
  const begins = tensors.map((tensor) => {
    if (Buffer.byteLength(tensor.name) > MAX_TENSOR_NAME)
      throw new Error(`tensor ${tensor.name}: its name is too long`);
    const begin = end;
    end = aligned(begin + ggufTensorBytes(tensor));
    if (!Number.isSafeInteger(end))
      throw new Error(`tensor ${tensor.name} [${tensor.shape}] is no whole number of blocks`);
    out.string(tensor.name);
    out.u32(tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) out.u64(size);
    out.u32(GGML_TYPES[tensor.type].number);
    out.u64(begin);
    return begin;
  });
  const header = out.finish(aligned(out.length));
  const places = new Map(
    tensors.map((tensor, index) => [
      tensor.name,
      { offset: header.byteLength + begins[index], nbytes: ggufTensorBytes(tensor) },
    ]),
  );
  return { header, places, nbytes: header.byteLength + end };
}

export const aligned = (offset: number, alignment = ALIGNMENT): number => Math.ceil(offset / alignment) * alignment;

type Store = (view: DataView, at: number, value: number) => void;
const NUMBERS: Record<Exclude<GgufScalar, 'string'>, { nbytes: number; store: Store }> = {
  u8: { nbytes: 1, store: (view, at, value) => view.setUint8(at, value) },
  i8: { nbytes: 1, store: (view, at, value) => view.setInt8(at, value) },
  bool: { nbytes: 1, store: (view, at, value) => view.setUint8(at, value) },
  u16: { nbytes: 2, store: (view, at, value) => view.setUint16(at, value, true) },
  i16: { nbytes: 2, store: (view, at, value) => view.setInt16(at, value, true) },
  u32: { nbytes: 4, store: (view, at, value) => view.setUint32(at, value, true) },
  i32: { nbytes: 4, store: (view, at, value) => view.setInt32(at, value, true) },
  f32: { nbytes: 4, store: (view, at, value) => view.setFloat32(at, value, true) },
  u64: { nbytes: 8, store: (view, at, value) => view.setBigUint64(at, BigInt(value), true) },
  i64: { nbytes: 8, store: (view, at, value) => view.setBigInt64(at, BigInt(value), true) },
  f64: { nbytes: 8, store: (view, at, value) => view.setFloat64(at, value, true) },
};

/** Bytes that grow, little-endian. */
class ByteWriter {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  value(value: GgufValue): void {
    const type = GGUF_SCALARS.indexOf(value.type);
    if ('value' in value) {
      this.u32(type);
      this.#scalar(value.type, value.value);
      return;
    }
    this.u32(LIST);
    this.u32(type);
    this.u64(value.values.length);
    for (const each of value.values) this.#scalar(value.type, each);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  string(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.u64(bytes.byteLength);
    const at = this.#room(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  /** All bytes, followed by zeros up to `nbytes`. */
  finish(nbytes: number): Uint8Array {
    const whole = new Uint8Array(nbytes);
    whole.set(this.#bytes.subarray(0, this.length));
    return whole;
  }

  #scalar(type: GgufScalar, value: number | boolean | string): void {
    if (type === 'string') this.string(value as string);
    else {
      const { nbytes, store } = NUMBERS[type];
      const at = this.#room(nbytes);
      store(this.#view, at, Number(value));
    }
  }

  /** The start of `nbytes` that are the caller's to fill. */
  #room(nbytes: number): number {
    const at = this.length;
    this.length += nbytes;
    if (this.length > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(this.length, 2 * this.#bytes.byteLength));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
