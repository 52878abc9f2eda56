import type { TensorRef } from '../core/checkpoint.js';
import { DTYPE_BITS, widen } from '../core/dtype.js';
import type { Layout } from '../core/layout.js';
import type { Packed, Scheme } from '../core/scheme.js';
import type { PackedSource, RowSource } from '../core/weights.js';
import { find } from '../registry.js';
import { type Decoder, layoutDecoder, openDecoded, schemeDecoder } from './decoded-rows.js';
import { InputFiles } from './input-files.js';
import { type KernelRoom, kernelDecoder, kernelGrid, kernelWidening } from './kernel-decoder.js';
import { type OpenRows, type ReaderMeans, ScratchLevel, tileRows } from './open-rows.js';
import { fillRotary } from './rotary.js';
import { forEachBlock, forEachPart } from './stored-rows.js';

export type { KernelRoom } from './kernel-decoder.js';
export type { OpenRows } from './open-rows.js';

/**
 * Opens a source for reading as float32 rows, whatever it is made of. Memory stays within a few tiles of 1 MiB and
 * one row quantum. `close` closes the files that it opened; `files` given by the caller stay the caller's.
 * With `room` codes are decoded by kernels where these have one.
 */
export async function openRows(
  source: RowSource,
  files?: InputFiles,
  room?: KernelRoom,
): Promise<OpenRows & { close(): void }> {
  const own = files ? undefined : new InputFiles();
  const opened = await open(source, { files: files ?? (own as InputFiles), room, level: new ScratchLevel() });
  return { ...opened, close: () => own?.close() };
}

interface Opening extends ReaderMeans {
  room?: KernelRoom | undefined;
}

const below = (opening: Opening): Opening => ({ ...opening, level: opening.level.below });

async function open(source: RowSource, opening: Opening): Promise<OpenRows> {
  switch (source.kind) {
    case 'tensor':
      return openTensor(source, opening);
    case 'packed': {
      const layout = await find('layouts', source.layout);
      if (!layout) throw new Error(`layout ${source.layout} is not registered`);
      const byKernel = opening.room && (await layoutByKernel(source, layout, opening.room));
      return openDecoded(source, byKernel ?? layoutDecoder(source, layout), opening);
    }
    case 'scheme': {
      const scheme = await find('schemes', source.scheme.scheme);
      if (!scheme) throw new Error(`scheme ${source.scheme.scheme} is not registered`);
      const byKernel = opening.room && schemeByKernel(source, scheme, opening.room);
      return openDecoded(source, byKernel ?? schemeDecoder(source, scheme), opening);
    }
    case 'rowBlocks':
      return openBlocks(source, await open(source.source, below(opening)));
    case 'concat':
      return openConcat(source, await openAll(source.sources, below(opening)));
    case 'interleave':
      return openInterleave(source, await openAll(source.sources, below(opening)), opening);
    case 'permute':
      return openPermuted(source, await open(source.source, below(opening)), opening);
    case 'transpose':
      if (source.source.kind === 'tensor' && isByteDtype(source.source.ref)) {
        return openStoredColumns(source.source.ref, source.rows, source.cols, opening);
      }
      return openTransposed(source, await open(source.source, below(opening)), opening);
    case 'plus':
      return openPlus(await open(source.source, below(opening)), Math.fround(source.constant));
    case 'rotary':
      return {
        ...sizeOf(source),
        quantum: 1,
        scratchBytes: () => 0,
        readFloat32: (from, count, out) => fillRotary(source.table, from, count, out),
      };
  }
}

type Of<K extends RowSource['kind']> = Extract<RowSource, { kind: K }>;

const sizeOf = ({ rows, cols }: { rows: number; cols: number }) => ({ rows, cols });
const isByteDtype = (ref: TensorRef) => DTYPE_BITS[ref.dtype] % 8 === 0;

async function openAll(sources: RowSource[], opening: Opening): Promise<OpenRows[]> {
  const opened: OpenRows[] = [];
  for (const each of sources) opened.push(await open(each, opening));
  return opened;
}

async function layoutByKernel(source: PackedSource, layout: Layout, room: KernelRoom): Promise<Decoder | undefined> {
  const args = kernelGrid(source, layout, room);
  const scheme = args && (await find('schemes', args.scheme));
  if (!scheme) return undefined;
  const { unpack } = layout;
  const form = { scheme, args, cols: source.cols };
  const intoParts = (from: number, count: number, bytes: Packed, parts: Packed) =>
    unpack?.(source, from, count, bytes, args, parts);
  return kernelDecoder(layoutDecoder(source, layout), form, intoParts, room);
}

function schemeByKernel(source: Of<'scheme'>, scheme: Scheme, room: KernelRoom): Decoder | undefined {
  const { scheme: args, cols } = source;
  if (!room.kernels.dequantizes(args)) return undefined;
  const copy = (_from: number, _count: number, bytes: Packed, parts: Packed) => {
    for (const [part, content] of Object.entries(bytes)) parts[part].set(content);
  };
  return kernelDecoder(schemeDecoder(source, scheme), { scheme, args, cols }, copy, room);
}

function openTensor(source: Of<'tensor'>, { files, level, room }: Opening): OpenRows {
  const { rows, cols, ref } = source;
  const rowBytes = rows === 0 ? 0 : ref.nbytes / rows;
  const tile = tileRows(cols);
  const stored = level.scratch('stored');
  if (ref.dtype === 'F32') {
    return {
      ...sizeOf(source),
      quantum: 1,
      scratchBytes: () => 0,
      readFloat32(from, count, out) {
        const bytes = new Uint8Array(out.buffer, out.byteOffset, count * rowBytes);
        files.read(ref.file, ref.offset + from * rowBytes, bytes);
      },
    };
  }
  const byKernel = room && kernelWidening(ref.dtype, rowBytes, cols, room);
  const step = byKernel ? Math.min(tile, byKernel.rows) : tile;
  return {
    ...sizeOf(source),
    quantum: 1,
    scratchBytes: (count) => Math.min(count, tile) * rowBytes,
    readFloat32(from, count, out) {
      for (let done = 0; done < count; done += step) {
        const taken = Math.min(step, count - done);
        const bytes = byKernel ? byKernel.bytes(taken) : stored.bytes(taken * rowBytes);
        files.read(ref.file, ref.offset + (from + done) * rowBytes, bytes);
        const values = out.subarray(done * cols, (done + taken) * cols);
        if (byKernel) byKernel.widen(values);
        else widen(ref.dtype, bytes, values);
      }
    },
  };
}

function openBlocks(source: Of<'rowBlocks'>, inner: OpenRows): OpenRows {
  const { cols } = source;
  return {
    ...sizeOf(source),
    quantum: source.from % inner.quantum === 0 ? inner.quantum : 1,
    scratchBytes: (count) => inner.scratchBytes(count),
    readFloat32(from, count, out) {
      forEachBlock(source, from, count, (first, rows, done) =>
        inner.readFloat32(first, rows, out.subarray(done * cols, (done + rows) * cols)),
      );
    },
  };
}

/** Parts are read one after the other, with the same buffers. */
const mostScratch = (parts: OpenRows[], count: number) =>
  parts.reduce((most, each) => Math.max(most, each.scratchBytes(count)), 0);

function openConcat(source: Of<'concat'>, parts: OpenRows[]): OpenRows {
  const { cols } = source;
  return {
    ...sizeOf(source),
    quantum: Math.max(...parts.map((each) => each.quantum)),
    scratchBytes: (count) => mostScratch(parts, count),
    readFloat32(from, count, out) {
      forEachPart(parts, from, count, (part, first, rows, done) =>
        part.readFloat32(first, rows, out.subarray(done * cols, (done + rows) * cols)),
      );
    },
  };
}

function openInterleave(source: Of<'interleave'>, parts: OpenRows[], { level }: Opening): OpenRows {
  const { cols } = source;
  const turns = parts.length;
  const innerQuantum = Math.max(...parts.map((each) => each.quantum));
  const tile = tileRows(cols, innerQuantum);
  const scratch = level.scratch('values');
  return {
    ...sizeOf(source),
    quantum: turns * innerQuantum,
    scratchBytes: (count) => {
      const rows = Math.min(tile, Math.ceil(count / turns) + 1);
      return 4 * cols * rows + mostScratch(parts, rows);
    },
    readFloat32(from, count, out) {
      for (const [turn, part] of parts.entries()) {
        // Rows first, first + 1, .. of this part stand at turn + turns * row of the whole.
        const end = Math.ceil((from + count - turn) / turns);
        for (let first = Math.max(0, Math.ceil((from - turn) / turns)); first < end; ) {
          const rows = Math.min(tile - (first % innerQuantum), end - first);
          const values = scratch.floats(rows * cols);
          part.readFloat32(first, rows, values);
          for (let row = 0; row < rows; row++) {
            out.set(values.subarray(row * cols, (row + 1) * cols), (turn + turns * (first + row) - from) * cols);
          }
          first += rows;
        }
      }
    },
  };
}

/** Rows out of order: neighbours that stay within a small span are read at once, others one by one. */
function openPermuted(source: Of<'permute'>, inner: OpenRows, { level }: Opening): OpenRows {
  const { cols, order } = source;
  const tile = tileRows(cols, inner.quantum);
  const scratch = level.scratch('values');
  const widestSpan = 2 * tile;
  return {
    ...sizeOf(source),
    quantum: inner.quantum,
    scratchBytes: () => 4 * cols * Math.min(widestSpan, inner.rows) + inner.scratchBytes(widestSpan),
    readFloat32(from, count, out) {
      for (let done = 0; done < count; done += tile) {
        const wanted = order.slice(from + done, from + Math.min(count, done + tile));
        const lowest = wanted.reduce((least, row) => Math.min(least, row), Infinity);
        const span = wanted.reduce((most, row) => Math.max(most, row), 0) + 1 - lowest;
        if (span <= Math.min(widestSpan, 2 * Math.max(wanted.length, inner.quantum))) {
          const values = scratch.floats(span * cols);
          inner.readFloat32(lowest, span, values);
          for (const [i, row] of wanted.entries()) {
            out.set(values.subarray((row - lowest) * cols, (row - lowest + 1) * cols), (done + i) * cols);
          }
        } else {
          for (const [i, row] of wanted.entries()) {
            inner.readFloat32(row, 1, out.subarray((done + i) * cols, (done + i + 1) * cols));
          }
        }
      }
    },
  };
}

function openTransposed(source: Of<'transpose'>, inner: OpenRows, { level }: Opening): OpenRows {
  const { cols } = source;
  const tile = tileRows(inner.cols, inner.quantum);
  const scratch = level.scratch('values');
  return {
    ...sizeOf(source),
    quantum: 1,
    scratchBytes: () => 4 * inner.cols * Math.min(tile, inner.rows) + inner.scratchBytes(tile),
    readFloat32(from, count, out) {
      for (let first = 0; first < inner.rows; first += tile) {
        const rows = Math.min(tile, inner.rows - first);
        const values = scratch.floats(rows * inner.cols);
        inner.readFloat32(first, rows, values);
        for (let column = 0; column < count; column++) {
          for (let row = 0; row < rows; row++) {
            out[column * cols + first + row] = values[row * inner.cols + from + column];
          }
        }
      }
    },
  };
}

/** The transpose of a stored tensor: from each of its rows only the columns asked for are read. */
function openStoredColumns(ref: TensorRef, rows: number, cols: number, { files, level }: Opening): OpenRows {
  const itemBytes = DTYPE_BITS[ref.dtype] / 8;
  const stored = level.scratch('stored');
  const floats = level.scratch('values');
  const tileOf = (count: number) => Math.min(tileRows(count), Math.max(1, cols));
  return {
    rows,
    cols,
    quantum: 1,
    scratchBytes: (count) => tileOf(count) * count * (itemBytes + 4),
    readFloat32(from, count, out) {
      const tile = tileOf(count);
      for (let first = 0; first < cols; first += tile) {
        const taken = Math.min(tile, cols - first);
        const bytes = stored.bytes(taken * count * itemBytes);
        for (let row = 0; row < taken; row++) {
          const at = row * count * itemBytes;
          const offset = ref.offset + ((first + row) * rows + from) * itemBytes;
          files.read(ref.file, offset, bytes.subarray(at, at + count * itemBytes));
        }
        const values = floats.floats(taken * count);
        widen(ref.dtype, bytes, values);
        for (let column = 0; column < count; column++) {
          for (let row = 0; row < taken; row++) out[column * cols + first + row] = values[row * count + column];
        }
      }
    },
  };
}

function openPlus(inner: OpenRows, constant: number): OpenRows {
  return {
    ...inner,
    readFloat32(from, count, out) {
      inner.readFloat32(from, count, out);
      for (let i = 0; i < count * inner.cols; i++) out[i] += constant;
    },
  };
}
