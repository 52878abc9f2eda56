import { ERROR_STATE_BYTES, type ErrorSums, readErrors } from '../../core/error-sums.js';
import { loadKernels } from '../../kernels/kernels.js';
import type { KernelRoom } from '../../sources/read.js';

const DECODING_ROOM = 512 << 10;

/** No row is one of a histogram's but the first. */
const NO_HISTOGRAM = 2 ** 31;

/** Rows of two weights side by side in kernel memory, where readers decode them and kernels take the sums of their errors. */
export class ComparedRows {
  readonly #kernels = loadKernels();
  readonly #state = this.#kernels.heapBase;
  /** Where readers may decode. */
  readonly room: KernelRoom = {
    kernels: this.#kernels,
    address: this.#state + ERROR_STATE_BYTES,
    nbytes: DECODING_ROOM,
  };

  #end = 0;

  /** Starts on another pair of weights; room for `count` values of each, which are to be filled. */
  start(count: number): { reference: Float32Array; actual: Float32Array } {
    const from = this.room.address + this.room.nbytes;
    this.#end = from + 8 * count;
    // groups have three numbers for one value or more
    this.#kernels.reserve(this.#end + 12 * count - this.#state);
    this.#kernels.bytes(this.#state, ERROR_STATE_BYTES).fill(0);
    const { buffer } = this.#kernels.bytes(from, 0);
    return {
      reference: new Float32Array(buffer, from, count),
      actual: new Float32Array(buffer, from + 4 * count, count),
    };
  }

  /** Adds the errors of filled rows of `cols` columns, views of what `start` gave. */
  add(reference: Float32Array, actual: Float32Array, cols: number): void {
    const add = this.#kernels.openErrors('F32', cols, NO_HISTOGRAM, this.#state);
    add(reference.byteOffset, reference.length / cols, actual.byteOffset, 0);
  }

  /** Least, greatest and greatest error of each group of filled rows, in turn; overwritten by the next call. */
  ranges(reference: Float32Array, actual: Float32Array, cols: number, group: number): Float32Array {
    const rows = reference.length / cols;
    this.#kernels.groupRanges(reference.byteOffset, actual.byteOffset, rows, cols, group, this.#end);
    return new Float32Array(reference.buffer, this.#end, 3 * rows * Math.ceil(cols / group));
  }

  sums(): ErrorSums {
    return readErrors(this.#kernels.bytes(this.#state, ERROR_STATE_BYTES));
  }
}
