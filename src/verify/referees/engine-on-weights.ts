import type { Graph } from '../../core/graph.js';
import type { ProgressListener } from '../../core/progress.js';
import { type Evaluation, type EvaluationOptions, evaluate } from '../../reference/evaluate.js';
import { type Gemm, openGemm } from '../../reference/gemm.js';
import type { WeightLookup } from '../../reference/weights.js';
import { InputFiles } from '../../sources/input-files.js';
import { newKernelRoom } from '../../sources/kernel-room.js';
import type { KernelRoom } from '../../sources/read.js';

/** The reference engine on one set of weights. `margin` is the least of all routing decisions so far. */
export interface Engine {
  graph: Graph;
  weights: WeightLookup;
  vocabulary: number;
  margin: number;
  run(sequences: number[][], options?: EvaluationOptions): Promise<Evaluation>;
  close(): Promise<void>;
}

/** The engine on a graph and on weights that are read through `files` and decoded in `room`. */
export function engineOn(
  graph: Graph,
  weightsOf: (files: InputFiles, room: KernelRoom) => WeightLookup,
  settings: {
    onProgress?: ProgressListener | undefined;
    signal?: AbortSignal | undefined;
    threads?: number | undefined;
  },
): Engine {
  const files = new InputFiles();
  let gemm: Promise<Gemm> | undefined;
  const logits = graph.outputs.find(({ name }) => name === 'logits');
  const engine: Engine = {
    graph,
    weights: weightsOf(files, newKernelRoom()),
    vocabulary: Number(logits?.shape.at(-1)),
    margin: Number.POSITIVE_INFINITY,
    run: async (sequences, options) => {
      gemm ??= openGemm(settings.threads);
      return evaluate(graph, engine.weights, sequences, {
        ...settings,
        gemm: await gemm,
        ...options,
        onRoutingMargin: (margin) => {
          engine.margin = Math.min(engine.margin, margin.margin);
          options?.onRoutingMargin?.(margin);
        },
      });
    },
    async close() {
      files.close();
      await (await gemm)?.release();
    },
  };
  return engine;
}
