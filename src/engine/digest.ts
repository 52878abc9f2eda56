import type { Kernels } from '../core/kernels.js';
import { xxh64 } from '../core/xxh64.js';
import { loadKernels } from '../kernels/kernels.js';
import { type FileSystem, realFileSystem } from '../sources/file-system.js';

/**
 * Name of the digest of chunks in journals and manifests: XXH64 with seed 0, 16 hex digits as xxhsum prints them. It
 * finds damage, not forgery (that takes the SHA-256 sums of `--sha256`), and costs a tenth of them.
 */
export const DIGEST_ALGORITHM = 'xxh64';

/** Bytes of kernel memory that one digest needs, rounded to the alignment of its addresses. */
export const DIGEST_STATE_BYTES = 80;

/** Digest of bytes that lie in the kernels' memory, given in pieces; its state lies at `state`. */
export class Digest {
  constructor(
    readonly kernels: Kernels,
    readonly state: number,
  ) {
    kernels.startDigest(state);
  }

  update(address: number, nbytes: number): void {
    this.kernels.updateDigest(this.state, address, nbytes);
  }

  finish(): string {
    return BigInt.asUintN(64, this.kernels.finishDigest(this.state)).toString(16).padStart(16, '0');
  }
}

/** The digest of bytes outside the kernels' memory, for small ones. */
export const digestOfBytes = (bytes: Uint8Array): string => xxh64(bytes).toString(16).padStart(16, '0');

const PIECE = 1 << 20;
// One instance for all files: no two use its memory at once, as none waits for anything between its first byte and last.
let ofFiles: Kernels | undefined;

/**
 * The digest of bytes [from, from + nbytes) of a file, by default of all of it. Bytes that the file does not have are
 * left out: its size is another check.
 */
export async function digestOfFile(
  path: string,
  from = 0,
  nbytes = Number.POSITIVE_INFINITY,
  fs: FileSystem = realFileSystem,
): Promise<string> {
  ofFiles ??= loadKernels();
  const kernels = ofFiles;
  const state = kernels.heapBase;
  const buffer = state + DIGEST_STATE_BYTES;
  kernels.reserve(DIGEST_STATE_BYTES + PIECE);
  const view = kernels.bytes(buffer, PIECE);
  const digest = new Digest(kernels, state);
  const descriptor = fs.openSync(path, 'r');
  try {
    for (let done = 0; done < nbytes; ) {
      const count = fs.readSync(descriptor, view, 0, Math.min(PIECE, nbytes - done), from + done);
      if (count === 0) break;
      digest.update(buffer, count);
      done += count;
    }
  } finally {
    fs.closeSync(descriptor);
  }
  return digest.finish();
}
