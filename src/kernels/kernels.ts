import { widen } from '../core/dtype.js';
import type { Kernels } from '../core/types.js';

/** TEMPORARY stand-in until the wasm kernels land: plain memory, no kernels, so that the engine runs with the twins. */
export function loadKernels(): Kernels {
  let memory = new ArrayBuffer(1 << 20);
  return {
    heapBase: 0,
    reserve(nbytes) {
      if (memory.byteLength < nbytes + (1 << 20)) memory = new ArrayBuffer(nbytes + (1 << 20));
    },
    bytes: (address, nbytes) => new Uint8Array(memory, address, nbytes),
    widen(dtype, from, count, to) {
      widen(dtype, new Uint8Array(memory, from), new Float32Array(memory, to, count));
    },
    supports: () => false,
    quantize() {
      throw new Error('no kernel');
    },
  };
}
