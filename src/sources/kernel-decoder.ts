import { type Dtype, FLOAT_DTYPES } from '../core/dtype.js';
import type { Kernels } from '../core/kernels.js';
import type { Layout } from '../core/layout.js';
import type { Packed, QuantizationArgs, Scheme } from '../core/scheme.js';
import type { PackedSource } from '../core/weights.js';
import type { Decoder } from './decoded-rows.js';

/** Kernels, and memory of theirs in which readers may decode rows; what is there is lost at the next read. */
export interface KernelRoom {
  kernels: Kernels;
  address: number;
  nbytes: number;
}

const aligned = (nbytes: number) => Math.ceil(nbytes / 16) * 16;

/** The scheme and settings by which a kernel decodes a source, scales as float32 where the scheme has them so. */
export function kernelGrid(
  source: PackedSource,
  layout: Layout,
  { kernels }: Pick<KernelRoom, 'kernels'>,
): QuantizationArgs | undefined {
  if (!layout.unpack) return undefined;
  const grid = layout.readAs ? layout.readAs(source) : layout.grid?.(source);
  if (!grid) return undefined;
  return [{ ...grid, scale_dtype: 'F32' as const }, grid].find(kernels.dequantizes);
}

/**
 * The same rows decoded by a kernel: `unpack` makes the scheme's parts of them in kernel memory. Equal bit for bit to
 * what `decoder` decodes. Undefined where the rows that it decodes together do not fit into the room.
 */
export function kernelDecoder(
  decoder: Decoder,
  { scheme, args, cols }: { scheme: Scheme; args: QuantizationArgs; cols: number },
  unpack: (from: number, count: number, bytes: Packed, parts: Packed) => void,
  { kernels, address, nbytes }: KernelRoom,
): Decoder | undefined {
  const { quantum } = decoder;
  const row = Object.values(scheme.layout(quantum, cols, args));
  const quantumBytes = row.reduce((sum, part) => sum + part.nbytes, 4 * cols * quantum);
  // each part, and the values after them, start on a multiple of 16
  const most = Math.floor((nbytes - 16 * row.length) / quantumBytes) * quantum;
  if (most < 1) return undefined;
  const together = scheme.rowQuantum(args);
  const decode = kernels.openDecoder(args, cols);

  return {
    quantum,
    needs: decoder.needs,

    // rows of the same row of blocks, or whole rows of blocks
    atMost(from) {
      const within = Number.isFinite(together) ? from % together : 0;
      return within > 0 ? Math.min(most, together - within) : most;
    },

    decode(from, count, bytes, out) {
      const addresses: Record<string, number> = {};
      const parts: Packed = {};
      let next = address;
      for (const [part, size] of Object.entries(scheme.layout(count, cols, args))) {
        addresses[part] = next;
        parts[part] = kernels.bytes(next, size.nbytes);
        next += aligned(size.nbytes);
      }
      unpack(from, count, bytes, parts);
      fill(out, next, kernels, (to) => decode(addresses, 0, count, to));
    },
  };
}

/** Has float32 written where `out` is, or, where that is not in kernel memory, to `address`, and copied from there. */
function fill(out: Float32Array, address: number, kernels: Kernels, write: (to: number) => void): void {
  const { buffer } = kernels.bytes(0, 0);
  const isInside = out.buffer === buffer;
  write(isInside ? out.byteOffset : address);
  if (!isInside) out.set(new Float32Array(buffer, address, out.length));
}

/** Rows of stored floats made float32 by a kernel. */
interface KernelWidening {
  /** The most rows at a time. */
  rows: number;
  /** Where the stored bytes of some rows are to be put. */
  bytes(rows: number): Uint8Array;
  /** Fills `values` with the float32 of the bytes that were put. */
  widen(values: Float32Array): void;
}

/** Undefined where not one row fits into the room, and for stored values that are no floats. */
export function kernelWidening(
  dtype: Dtype,
  rowBytes: number,
  cols: number,
  { kernels, address, nbytes }: KernelRoom,
): KernelWidening | undefined {
  const rows = Math.floor((nbytes - 16) / (rowBytes + 4 * cols));
  if (!(rows >= 1) || !FLOAT_DTYPES.includes(dtype)) return undefined;
  return {
    rows,
    bytes: (count) => kernels.bytes(address, count * rowBytes),
    widen(values) {
      const after = address + aligned((values.length / cols) * rowBytes);
      fill(values, after, kernels, (to) => kernels.widen(dtype, address, values.length, to));
    },
  };
}
