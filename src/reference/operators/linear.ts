import { type Activation, activation, type OperatorCall, vector, weight } from '../call.js';
import type { Gemm } from '../gemm.js';
import { chunkRowsOf, forEachRowChunk, type WeightRows } from '../weights.js';

/** Values of one partial product [tokens, rows of a chunk]: 32 MiB, so that many tokens take fewer rows at a time. */
const PRODUCT_VALUES = 8 << 20;

/** x W^T + b for x [tokens, K] and W [N, K], which streams by rows; a whole W is held only where it is one chunk. */
export async function project(gemm: Gemm, x: Activation, matrix: WeightRows, bias?: Float32Array): Promise<Activation> {
  if (matrix.cols !== x.width) throw new Error(`a matrix of ${matrix.cols} columns meets a width of ${x.width}`);
  const width = matrix.rows;
  const tokens = x.data.length / x.width;
  const data = new Float32Array(tokens * width);
  const chunkRows = chunkRowsOf(matrix, Math.ceil(PRODUCT_VALUES / Math.max(1, tokens)));
  const partial = chunkRows < width ? new Float32Array(tokens * chunkRows) : data;
  if (tokens > 0) {
    await forEachRowChunk(matrix, chunkRows, async (chunk, from, count) => {
      const product = partial.subarray(0, tokens * count);
      await gemm.multiply(x.data, tokens, x.width, chunk, count, product);
      if (partial === data) return;
      for (let token = 0; token < tokens; token++) {
        data.set(product.subarray(token * count, (token + 1) * count), token * width + from);
      }
    });
  }
  if (bias) {
    for (let start = 0; start < data.length; start += width) {
      for (let i = 0; i < width; i++) data[start + i] += bias[i];
    }
  }
  return { width, data };
}

export async function linear(call: OperatorCall) {
  return project(call.gemm, activation(call, 0), weight(call, 1), await vector(call, 2));
}
