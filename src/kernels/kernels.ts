import { DTYPE_BITS, type Dtype, widen } from '../core/dtype.js';
import { EnvironmentError } from '../core/errors.js';
import type { Kernels } from '../core/kernels.js';
import { NonFiniteWeight } from '../core/scheme.js';
import { KERNEL_DTYPES, SCHEME_KERNELS, type SchemeKernel } from './by-scheme.js';
import { dequantizes, openDecoder } from './decode-kernels.js';
import { openErrors, openSaturated } from './error-kernels.js';
import { instantiateKernels } from './wasm.js';

const PAGE = 65536;
/** Kernels that go over whole vectors read as much past the end of what they are given. */
const READ_BEYOND = 32;

/** A fresh instance of the kernels, with a memory of its own. Throws EnvironmentError where they are not built. */
export function loadKernels(): Kernels {
  const wasm = instantiateKernels();
  const heapBase = wasm.heapBase.value;
  const bytes = (address: number, nbytes: number) => new Uint8Array(wasm.memory.buffer, address, nbytes);
  let tabulated: Dtype | undefined;

  /** Fills the table of the 256 values of an 8-bit float. */
  function tabulate(dtype: Dtype): void {
    if (tabulated === dtype) return;
    const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
    widen(dtype, codes, new Float32Array(wasm.memory.buffer, wasm.byteTable.value, 256));
    tabulated = dtype;
  }

  return {
    heapBase,
    bytes,
    startDigest: wasm.startDigest,
    updateDigest: wasm.updateDigest,
    finishDigest: wasm.finishDigest,
    dequantizes,
    openDecoder: (args, cols) => openDecoder(wasm, args, cols),
    openErrors: (dtype, cols, stride, state) => openErrors(wasm, dtype, cols, stride, state),
    openSaturated: (dtype, cols, args, state) => openSaturated(wasm, dtype, cols, args, state),
    groupRanges: wasm.groupRanges,
    rotary: (frequencies, count, from, rows, factor, part, out) =>
      wasm.rotaryRows(frequencies, count, from, rows, factor, part === 'cos', out),

    reserve(nbytes) {
      const missing = heapBase + nbytes + READ_BEYOND - wasm.memory.buffer.byteLength;
      if (missing <= 0) return;
      try {
        wasm.memory.grow(Math.ceil(missing / PAGE));
      } catch {
        throw new EnvironmentError(
          `a worker's memory cannot grow to ${heapBase + nbytes} bytes.`,
          'lower --max-memory or --workers.',
        );
      }
    },

    widen(dtype, from, count, to) {
      if (dtype === 'BF16') wasm.widenBrains(from, count, to);
      else if (dtype === 'F16') wasm.widenHalves(from, count, to);
      else if (dtype === 'F64') wasm.widenDoubles(from, count, to);
      else if (dtype === 'F32') new Uint8Array(wasm.memory.buffer).copyWithin(to, from, from + 4 * count);
      else {
        tabulate(dtype);
        wasm.widenBytes(from, count, to);
      }
    },

    supports: (dtype, args) =>
      Object.hasOwn(KERNEL_DTYPES, dtype) &&
      Object.hasOwn(SCHEME_KERNELS, args.scheme) &&
      SCHEME_KERNELS[args.scheme].supports(args),

    quantize(dtype, from, rows, cols, args, out) {
      const kernel = SCHEME_KERNELS[args.scheme];
      const call = { dtype: KERNEL_DTYPES[dtype] as number, from, rows, cols, args, out };
      if (kernel.run(wasm, call)) return;
      const rowBytes = (cols * DTYPE_BITS[dtype]) / 8;
      throw firstRefused(kernel, dtype, bytes(from, rows * rowBytes), rowBytes, cols);
    },
  };
}

/** The first value that a kernel refused. Kernels only tell that there is one: a search afterwards costs them nothing. */
function firstRefused(kernel: SchemeKernel, dtype: Dtype, stored: Uint8Array, rowBytes: number, cols: number): Error {
  const values = new Float32Array(cols);
  for (let row = 0; row * rowBytes < stored.byteLength; row++) {
    widen(dtype, stored.subarray(row * rowBytes, (row + 1) * rowBytes), values);
    const column = values.findIndex(kernel.refuses);
    if (column >= 0) return new NonFiniteWeight(row, column, values[column]);
  }
  return new Error(`a kernel refused ${dtype} rows in which every value is in range`);
}
