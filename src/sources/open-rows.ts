import type { FileRange } from '../core/checkpoint.js';
import type { InputFiles } from './input-files.js';

/** A weight opened for reading: rows of float32 [rows, cols]. */
export interface OpenRows {
  readonly rows: number;
  readonly cols: number;
  /** Reads that start and end on multiples of it decode nothing twice. */
  readonly quantum: number;
  /** Bytes of memory, besides `out`, that a read of `count` rows may take. */
  scratchBytes(count: number): number;
  /** Fills `out` [count, cols] with rows [from, from + count). */
  readFloat32(from: number, count: number, out: Float32Array): void;
}

/** Float32 bytes that readers hold of a source at a time. */
const TILE_BYTES = 1 << 20;

/** Rows of this width that make up a tile, a multiple of `quantum`, at least one. */
export function tileRows(cols: number, quantum = 1): number {
  return Math.max(1, Math.floor(TILE_BYTES / (4 * Math.max(1, cols) * quantum))) * quantum;
}

/** A buffer that grows to what is asked of it; each answer overwrites the one before. */
export class Scratch {
  #buffer = new ArrayBuffer(0);

  bytes(nbytes: number): Uint8Array {
    if (this.#buffer.byteLength < nbytes) this.#buffer = new ArrayBuffer(Math.ceil(nbytes / 8) * 8);
    return new Uint8Array(this.#buffer, 0, nbytes);
  }

  floats(count: number): Float32Array {
    return new Float32Array(this.bytes(4 * count).buffer, 0, count);
  }
}

/** Buffers of readers that are open together, by name. Readers that never hold anything at once share a level. */
export class ScratchLevel {
  readonly #named = new Map<string, Scratch>();
  #below: ScratchLevel | undefined;

  scratch(name: string): Scratch {
    const known = this.#named.get(name) ?? new Scratch();
    this.#named.set(name, known);
    return known;
  }

  /** The level of what a reader reads from, while its own buffers are in use. */
  get below(): ScratchLevel {
    this.#below ??= new ScratchLevel();
    return this.#below;
  }
}

/** What readers that are opened together share. */
export interface ReaderMeans {
  files: InputFiles;
  level: ScratchLevel;
}

/** Reads ranges one after the other into `scratch`. */
export function readRanges(files: InputFiles, ranges: readonly FileRange[], scratch: Scratch): Uint8Array {
  const view = scratch.bytes(ranges.reduce((sum, { nbytes }) => sum + nbytes, 0));
  let at = 0;
  for (const { file, offset, nbytes } of ranges) {
    files.read(file, offset, view.subarray(at, at + nbytes));
    at += nbytes;
  }
  return view;
}
