import { EnvironmentError } from '../core/errors.js';
import type { Graph } from '../core/graph.js';

/** Single-precision matrix product on ONNX Runtime's CPU kernels: 25-40 GFLOP/s in wasm, 57-82 a thread here. */
export interface Gemm {
  /** y [m, n] = a [m, k] b^T, with b [n, k] as Hugging Face stores a linear layer. */
  multiply(a: Float32Array, m: number, k: number, b: Float32Array, n: number, y: Float32Array): Promise<void>;
  release(): Promise<void>;
}

/** Opens the BLAS. `threads` 0 leaves their number to ONNX Runtime. Throws EnvironmentError if it can't be loaded. */
export async function openGemm(threads = 0): Promise<Gemm> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node').catch((cause: Error) => {
    throw new EnvironmentError(
      `onnxruntime-node does not load: ${cause.message}. The reference engine multiplies matrices with it.`,
      'run `npm install` again on this machine.',
    );
  });
  // Without arena the memory of each product is returned at once: shapes differ from call to call.
  const { encodeModel } = await import('../formats/onnx.js');
  const session = await InferenceSession.create(encodeModel(gemmGraph, {}, ''), {
    intraOpNumThreads: threads,
    enableCpuMemArena: false,
    enableMemPattern: false,
    // Between two products weights are read and decoded: threads that spin meanwhile take a core for nothing.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  return {
    async multiply(a, m, k, b, n, y) {
      await session.run(
        { a: new Tensor('float32', a, [m, k]), b: new Tensor('float32', b, [n, k]) },
        { y: new Tensor('float32', y, [m, n]) },
      );
    },
    release: () => session.release(),
  };
}

/** A graph of one node, y = Gemm(a, b, transB=1), its dimensions symbolic. */
const gemmGraph: Graph = {
  name: 'gemm',
  inputs: [
    { name: 'a', dtype: 'FLOAT', shape: ['m', 'k'] },
    { name: 'b', dtype: 'FLOAT', shape: ['n', 'k'] },
  ],
  outputs: [{ name: 'y', dtype: 'FLOAT', shape: ['m', 'n'] }],
  nodes: [{ name: 'gemm', op: 'Gemm', domain: '', inputs: ['a', 'b'], outputs: ['y'], attributes: { transB: 1 } }],
  initializers: [],
  weights: {},
  values: {},
  hiddenStates: [],
  opsets: { '': 21 },
};
