import type { FileRange } from '../core/checkpoint.js';
import type { Layout } from '../core/layout.js';
import type { Packed, Scheme } from '../core/scheme.js';
import type { RowSource } from '../core/weights.js';
import { type OpenRows, type ReaderMeans, readRanges, tileRows } from './open-rows.js';

/** How rows of packed bytes are found and decoded; ranges start and end on multiples of `quantum` or at the last row. */
export interface Decoder {
  quantum: number;
  /** The most rows from `from`, a multiple of the quantum, that can be decoded at a time; default: any number. */
  atMost?(from: number): number;
  needs(from: number, count: number): Record<string, FileRange[]>;
  decode(from: number, count: number, bytes: Packed, out: Float32Array): void;
}

/** Rows that a layout decodes from several stored tensors. */
export function layoutDecoder(source: Extract<RowSource, { kind: 'packed' }>, layout: Layout): Decoder {
  return {
    quantum: layout.rowQuantum(source),
    needs: (from, count) => layout.needs(source, from, count),
    decode: (from, count, bytes, out) => layout.decode(source, from, count, bytes, out),
  };
}

/** Rows that a scheme decodes from the parts that it wrote. */
export function schemeDecoder(source: Extract<RowSource, { kind: 'scheme' }>, scheme: Scheme): Decoder {
  const { rows, cols, scheme: args, parts } = source;
  const quantum = scheme.rowQuantum(args);
  return {
    // One scale for the tensor does not keep its codes from being read by rows; two rows end on a whole byte.
    quantum: Number.isFinite(quantum) ? quantum : 2,
    needs(from, count) {
      const [start, end, all] = [from, from + count, rows].map((each) => scheme.layout(each, cols, args));
      const one = scheme.layout(Math.min(1, rows), cols, args);
      const ranges: Record<string, FileRange[]> = {};
      for (const [part, { file, offset }] of Object.entries(parts)) {
        const isPerTensor = !Number.isFinite(quantum) && one[part].nbytes === all[part].nbytes && rows > 1;
        const first = isPerTensor || from === 0 ? 0 : start[part].nbytes;
        ranges[part] = [{ file, offset: offset + first, nbytes: end[part].nbytes - first }];
      }
      return ranges;
    },
    decode: (_from, count, bytes, out) => scheme.dequantize(bytes, count, cols, args, out),
  };
}

export function openDecoded(source: RowSource, decoder: Decoder, { files, level }: ReaderMeans): OpenRows {
  const { rows, cols } = source;
  const { quantum } = decoder;
  const edge = level.scratch('edge');
  const tile = tileRows(cols, quantum);

  const decode = (from: number, count: number, out: Float32Array) => {
    const bytes: Packed = {};
    for (const [part, ranges] of Object.entries(decoder.needs(from, count))) {
      bytes[part] = readRanges(files, ranges, level.scratch(`part ${part}`));
    }
    decoder.decode(from, count, bytes, out);
  };

  return {
    rows,
    cols,
    quantum,
    // Packed bytes of a tile are at most as many as its floats; one more tile for a range that starts or ends inside a block.
    scratchBytes: (count) => 4 * cols * (Math.min(tile, Math.max(count, quantum)) + quantum),
    readFloat32(from, count, out) {
      for (let done = 0; done < count; ) {
        const row = from + done;
        const within = row % quantum;
        const blockStart = row - within;
        const left = count - done;
        const isWhole = row + left === rows;
        const whole = isWhole ? left : left - (left % quantum);
        if (within === 0 && whole > 0) {
          const taken = Math.min(tile, whole, decoder.atMost?.(row) ?? whole);
          decode(row, taken, out.subarray(done * cols, (done + taken) * cols));
          done += taken;
          continue;
        }
        const blockRows = Math.min(quantum, rows - blockStart);
        const taken = Math.min(blockRows - within, left);
        const values = edge.floats(blockRows * cols);
        decode(blockStart, blockRows, values);
        out.set(values.subarray(within * cols, (within + taken) * cols), done * cols);
        done += taken;
      }
    },
  };
}
