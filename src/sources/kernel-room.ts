import { loadKernels } from '../kernels/kernels.js';
import type { KernelRoom } from './kernel-decoder.js';

/** Several rows of the widest models, few enough to stay in a core's cache. */
const NBYTES = 512 << 10;

/** Kernels with a memory of their own in which readers decode. */
export function newKernelRoom(): KernelRoom {
  const kernels = loadKernels();
  kernels.reserve(NBYTES);
  return { kernels, address: kernels.heapBase, nbytes: NBYTES };
}
