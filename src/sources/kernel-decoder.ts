import type { Kernels, Layout, Packed, PackedSource, QuantizationArgs, Scheme } from '../core/types.js';
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
      const { buffer } = kernels.bytes(0, 0);
      const isInside = out.buffer === buffer;
      const to = isInside ? out.byteOffset : next;
      kernels.dequantize({ parts: addresses, cols, args, first: 0, rows: count, to });
      if (!isInside) out.set(new Float32Array(buffer, to, count * cols));
    },
  };
}
