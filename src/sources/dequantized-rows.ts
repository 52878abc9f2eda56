import type { Kernels, Layout, Packed, PackedSource, QuantizationArgs, Scheme } from '../core/types.js';
import { type OpenRows, type ReaderMeans, readRanges } from './open-rows.js';

/** Kernels, and memory of theirs in which readers may decode rows; what is there is lost at the next read. */
export interface KernelRoom {
  kernels: Kernels;
  address: number;
  nbytes: number;
}

const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;

/** The grid of a source, with float32 scales, where rows of it can be decoded by a kernel. */
export function kernelGrid(
  source: PackedSource,
  layout: Layout,
  { kernels }: KernelRoom,
): QuantizationArgs | undefined {
  const grid = layout.unpack && layout.rowQuantum(source) === 1 ? layout.grid?.(source) : undefined;
  const args = grid && ({ ...grid, scale_dtype: 'F32' } as const);
  return args && kernels.dequantizes(args) ? args : undefined;
}

/**
 * Rows of codes on a grid that a kernel decodes: the layout unpacks them into parts in kernel memory. Equal to what
 * the layout decodes, bit for bit. Undefined where not one row fits into the room.
 */
export function openDequantized(
  source: PackedSource,
  layout: Layout,
  scheme: Scheme,
  args: QuantizationArgs,
  { kernels, address, nbytes }: KernelRoom,
  { files, level }: ReaderMeans,
): OpenRows | undefined {
  const { rows, cols } = source;
  const { unpack } = layout;
  const row = Object.values(scheme.layout(1, cols, args));
  const rowBytes = row.reduce((sum, part) => sum + part.nbytes, 4 * cols);
  // each part, and the values after them, start on a multiple of 16
  const tile = Math.floor((nbytes - 16 * row.length) / rowBytes);
  if (!unpack || tile < 1) return undefined;
  const quantum = scheme.rowQuantum(args);

  /** Decodes rows of the same row of blocks, or whole rows of blocks, to `to`, or after the parts; returns where. */
  const decode = (from: number, count: number, to: number | undefined): number => {
    const bytes: Packed = {};
    for (const [part, ranges] of Object.entries(layout.needs(source, from, count))) {
      bytes[part] = readRanges(files, ranges, level.scratch(`part ${part}`));
    }
    const addresses: Record<string, number> = {};
    const parts: Packed = {};
    let next = address;
    for (const [part, size] of Object.entries(scheme.layout(count, cols, args))) {
      addresses[part] = next;
      parts[part] = kernels.bytes(next, size.nbytes);
      next += aligned(size.nbytes);
    }
    unpack(source, from, count, bytes, args, parts);
    const values = to ?? next;
    kernels.dequantize({ parts: addresses, cols, args, first: 0, rows: count, to: values });
    return values;
  };

  return {
    rows,
    cols,
    quantum: 1,
    scratchBytes: (count) => Math.min(count, tile) * rowBytes,
    readFloat32(from, count, out) {
      const { buffer } = kernels.bytes(address, 0);
      for (let done = 0; done < count; ) {
        const first = from + done;
        const inBlock = Number.isFinite(quantum) ? first % quantum : 0;
        const taken = Math.min(tile, count - done, inBlock > 0 ? quantum - inBlock : tile);
        if (out.buffer === buffer) {
          decode(first, taken, out.byteOffset + 4 * done * cols);
        } else {
          const values = decode(first, taken, undefined);
          out.set(new Float32Array(buffer, values, taken * cols), done * cols);
        }
        done += taken;
      }
    },
  };
}
