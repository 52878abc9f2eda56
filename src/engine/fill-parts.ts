import type { Dtype } from '../core/dtype.js';
import { InvalidInputError } from '../core/errors.js';
import type { Kernels } from '../core/kernels.js';
import type { Layout } from '../core/layout.js';
import type { Job } from '../core/plan.js';
import { NonFiniteWeight, type Packed } from '../core/scheme.js';
import type { PackedSource, RotaryTable, RowSource } from '../core/weights.js';
import type { InputFiles } from '../sources/input-files.js';
import { locate } from '../sources/locate.js';
import { openRows } from '../sources/read.js';
import { forEachStoredRange, storedDtype } from '../sources/stored-rows.js';
import type { JobParts } from './job-parts.js';
import { checkKeptParts } from './kept-parts.js';
import { type LostScale, lostScale } from './stored-scales.js';

/** A job opened for work: how the parts of its scheme come about. */
export interface PartFiller {
  /** What rows are in kernel memory before they are quantized; undefined where codes are only copied. */
  dtype?: Dtype;
  /** Bytes that a row takes in kernel memory before it is quantized. */
  rowBytes: number;
  /**
   * Makes the scheme's parts of rows [from, from + count) at the addresses `out`; `input` is the address of room for
   * count * rowBytes bytes. Throws InvalidInputError for weights that are not finite.
   */
  fill(from: number, count: number, input: number, out: Record<string, number>): void;
}

/** Bytes of kernel memory that tables of frequencies take. */
export const FREQUENCY_ROOM = 4096;
/** Bytes of kernel memory in which rows are decoded. */
export const DECODING_ROOM = 512 << 10;

/** Addresses of FREQUENCY_ROOM and of DECODING_ROOM bytes. */
export interface FillerRooms {
  frequencies: number;
  decoding: number;
}

/**
 * Opens a job by the fastest way to its parts: codes that are kept are copied; rows are read as stored where a kernel
 * takes them so, a rotary table is computed by its kernel, anything else is read as float32.
 */
export async function openFiller(
  job: Job,
  { scheme, unpacker, unpacked, sizes }: JobParts,
  kernels: Kernels,
  inputs: InputFiles,
  rooms: FillerRooms,
): Promise<PartFiller> {
  const { source, scheme: args } = job;
  const { cols } = source;
  const partSizes = unpacked ?? sizes;
  const views = (count: number, addresses: Record<string, number>): Packed =>
    Object.fromEntries(
      Object.entries(partSizes(count)).map(([part, { nbytes }]) => [part, kernels.bytes(addresses[part], nbytes)]),
    );
  if (unpacker && source.kind === 'packed') {
    const unpack = unpackInto(source, unpacker, inputs);
    return {
      rowBytes: 0,
      fill(from, count, _input, out) {
        const parts = views(count, out);
        unpack(from, count, args, parts);
        try {
          checkKeptParts(parts, count, cols, args);
        } catch (error) {
          throw error instanceof NonFiniteWeight ? nonFinite(job, from, error) : error;
        }
      },
    };
  }

  const { dtype, rowBytes, read } = await openReader(source, args, kernels, inputs, rooms);
  const byKernel = kernels.supports(dtype, args);
  // Floats that are stored as they are read are read to where they are written from, unless they are measured beside it.
  const isAsRead = byKernel && !job.measured && args.scheme === dtype.toLowerCase();
  return {
    dtype,
    rowBytes,
    fill(from, count, input, out) {
      const rows = isAsRead ? out.codes : input;
      read(from, count, kernels.bytes(rows, count * rowBytes));
      try {
        if (byKernel) {
          kernels.quantize(dtype, rows, count, cols, args, out);
        } else {
          const { buffer, byteOffset } = kernels.bytes(input, 4 * count * cols);
          scheme.quantize(new Float32Array(buffer, byteOffset, count * cols), cols, args, views(count, out));
        }
      } catch (error) {
        throw error instanceof NonFiniteWeight ? nonFinite(job, from, error) : error;
      }
      if (out.scales === undefined) return;
      const itemBytes = rowBytes / cols;
      const weights = (first: number, each: number) => kernels.bytes(rows + first * itemBytes, each * itemBytes);
      const lost = lostScale(views(count, out).scales, weights, dtype, cols, args);
      if (lost) throw beyondFloat16(job, from, lost);
    },
  };
}

interface Reader {
  dtype: Dtype;
  rowBytes: number;
  read(from: number, count: number, into: Uint8Array): void;
}

async function openReader(
  source: RowSource,
  args: Job['scheme'],
  kernels: Kernels,
  inputs: InputFiles,
  rooms: FillerRooms,
): Promise<Reader> {
  const stored = storedDtype(source);
  if (stored && kernels.supports(stored, args)) {
    return {
      dtype: stored,
      rowBytes: storedRowBytes(source),
      read: (from, count, into) => readStored(source, inputs, from, count, into),
    };
  }
  const floats = { dtype: 'F32', rowBytes: 4 * source.cols } as const;
  if (source.kind === 'rotary' && isInKernelRange(source.table)) {
    const { table } = source;
    return {
      ...floats,
      read: (from, count, into) => computeTable(table, kernels, rooms.frequencies, from, count, into.byteOffset),
    };
  }
  const reader = await openRows(source, inputs, {
    kernels,
    address: rooms.decoding,
    nbytes: DECODING_ROOM,
  });
  return {
    ...floats,
    read: (from, count, into) =>
      reader.readFloat32(from, count, new Float32Array(into.buffer, into.byteOffset, count * source.cols)),
  };
}

function unpackInto(source: PackedSource, layout: Layout, inputs: InputFiles) {
  return (from: number, count: number, args: Job['scheme'], out: Packed) => {
    const bytes: Packed = {};
    for (const [part, ranges] of Object.entries(layout.needs(source, from, count))) {
      bytes[part] = new Uint8Array(ranges.reduce((sum, { nbytes }) => sum + nbytes, 0));
      let at = 0;
      for (const { file, offset, nbytes } of ranges) {
        inputs.read(file, offset, bytes[part].subarray(at, at + nbytes));
        at += nbytes;
      }
    }
    if (!layout.unpack) throw new Error(`layout ${source.layout} keeps no codes`);
    layout.unpack(source, from, count, bytes, args, out);
  };
}

function readStored(source: RowSource, inputs: InputFiles, from: number, count: number, into: Uint8Array): void {
  let at = 0;
  forEachStoredRange(source, from, count, ({ file, offset, nbytes }) => {
    inputs.read(file, offset, into.subarray(at, at + nbytes));
    at += nbytes;
  });
}

function storedRowBytes(source: RowSource): number {
  let rowBytes = 0;
  forEachStoredRange(source, 0, Math.min(1, source.rows), ({ nbytes }) => {
    rowBytes += nbytes;
  });
  return rowBytes;
}

/** The kernel reduces angles below 2^20; a table has room for its frequencies. */
function isInKernelRange({ inverse_frequencies, positions }: RotaryTable): boolean {
  const largest = inverse_frequencies.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  return largest * positions < 2 ** 20 && 4 * inverse_frequencies.length <= FREQUENCY_ROOM;
}

function computeTable(
  { inverse_frequencies, attention_factor, part }: RotaryTable,
  kernels: Kernels,
  frequencies: number,
  from: number,
  count: number,
  out: number,
): void {
  const { buffer, byteOffset } = kernels.bytes(frequencies, 4 * inverse_frequencies.length);
  new Float32Array(buffer, byteOffset, inverse_frequencies.length).set(inverse_frequencies);
  kernels.rotary(frequencies, inverse_frequencies.length, from, count, Math.fround(attention_factor), part, out);
}

function beyondFloat16(job: Job, from: number, { row, column, isTooLarge }: LostScale): InvalidInputError {
  const place = locate(job.source, from + row, column);
  return new InvalidInputError(
    `tensor "${place?.tensor ?? job.name}": the scale of the weights from row ${place?.row ?? from + row}, column ${place?.column ?? column} on ` +
      `is too ${isTooLarge ? 'large' : 'small'} for float16: ${isTooLarge ? 'it would be infinite' : 'the weights would all be 0'}.`,
    `--scales bf16 or f32 where the layout has them, or leave this tensor as it is: --skip '${job.name}' (--override '${job.name}=f32' in a package).`,
  );
}

function nonFinite(job: Job, from: number, error: NonFiniteWeight): InvalidInputError {
  const place = locate(job.source, from + error.row, error.column);
  const tensor = place?.tensor ?? job.name;
  const [row, column] = [place?.row ?? from + error.row, place?.column ?? error.column];
  const file = place?.file ? `${place.file}: ` : '';
  const byte = place?.offset === undefined ? '' : ` (byte ${place.offset} of the file)`;
  const found = `${file}tensor "${tensor}" holds ${error.value} at row ${row}, column ${column}${byte}`;
  if (Number.isFinite(error.value)) {
    return new InvalidInputError(
      `${found}, beyond the range of ${job.scheme.scheme}.`,
      `--override '${job.name}=f32' for this weight, or another scheme.`,
    );
  }
  return new InvalidInputError(
    `${found}; a weight must be finite.`,
    'download this file again; if its checksum is right, the checkpoint itself is broken.',
  );
}
