import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { DTYPE_BITS, type Dtype, SAFETENSORS_DTYPES } from '../core/dtype.js';
import { own } from '../core/own.js';

/** A tensor to be written: what its header entry needs. */
export interface TensorEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
}

/** A safetensors file before its data: the header's bytes and where each tensor's data goes, counted from the start. */
export interface SafetensorsLayout {
  header: Uint8Array;
  places: Map<string, { offset: number; nbytes: number }>;
  nbytes: number;
}

/** Bytes of a tensor's data. */
export const tensorBytes = ({ dtype, shape }: TensorEntry): number =>
  (shape.reduce((product, each) => product * each, 1) * DTYPE_BITS[dtype]) / 8;

/**
 * Lays out a safetensors file as the reference writer does (safetensors/src/tensor.rs): tensors by dtype, largest
 * first, then by name, the header padded with spaces to a multiple of 8. `metadata` always says `format: pt`, which
 * transformers asks for.
 */
export function layoutSafetensors(tensors: TensorEntry[], metadata: Record<string, string> = {}): SafetensorsLayout {
  const rank = ({ dtype }: TensorEntry) => SAFETENSORS_DTYPES.indexOf(dtype);
  const ordered = [...tensors].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1));
  const entries = own<unknown>({ __metadata__: { format: 'pt', ...metadata } });
  let end = 0;
  const begins = ordered.map((tensor) => {
    const begin = end;
    end += tensorBytes(tensor);
    if (!Number.isSafeInteger(end))
      throw new Error(`${tensor.name}: ${tensor.dtype} [${tensor.shape}] is no whole number of bytes`);
    entries[tensor.name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] };
    return begin;
  });
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  const places = new Map(
    ordered.map((tensor, index) => [
      tensor.name,
      { offset: header.byteLength + begins[index], nbytes: tensorBytes(tensor) },
    ]),
  );
  return { header, places, nbytes: header.byteLength + end };
}

/** Writes a small safetensors file whose data is at hand: a temporary file, then a rename. */
export function writeSafetensors(
  file: string,
  tensors: (TensorEntry & { data: Uint8Array })[],
  metadata?: Record<string, string>,
): void {
  const { header, places } = layoutSafetensors(tensors, metadata);
  const temporary = `${file}.halfbyte-tmp`;
  const fd = openSync(temporary, 'w');
  try {
    writeSync(fd, header, 0, header.byteLength, 0);
    for (const { name, data } of tensors) {
      const place = places.get(name);
      if (!place || place.nbytes !== data.byteLength) throw new Error(`${name}: ${data.byteLength} bytes do not fit`);
      for (let done = 0; done < data.byteLength; ) {
        done += writeSync(fd, data, done, data.byteLength - done, place.offset + done);
      }
    }
  } catch (error) {
    closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  closeSync(fd);
  renameSync(temporary, file);
}
