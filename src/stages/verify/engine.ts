import type { Checkpoint } from '../../core/checkpoint.js';
import type { Graph } from '../../core/graph.js';
import type { ProgressListener } from '../../core/progress.js';
import type { LogicalTensor } from '../../core/weights.js';
import { type Evaluation, type EvaluationOptions, evaluate } from '../../reference/evaluate.js';
import { type Gemm, openGemm } from '../../reference/gemm.js';
import { storedWeights } from '../../reference/stored-weights.js';
import type { WeightLookup } from '../../reference/weights.js';
import { InputFiles } from '../../sources/input-files.js';
import { newKernelRoom } from '../../sources/kernel-room.js';
import type { KernelRoom } from '../../sources/read.js';
import { checkCoverage, logicalTensors } from '../coverage.js';
import { drawGraphs, type Model, openModel } from '../model.js';

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
  settings: { onProgress?: ProgressListener; signal?: AbortSignal; threads?: number },
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

/** A checkpoint ready to be asked: its model, its logical tensors and the engine on its own weights. */
export interface ReferenceCheckpoint {
  model: Model;
  logical: Map<string, LogicalTensor>;
  /** Draws the decoder for so many positions and puts the engine on the checkpoint's weights. */
  engine(contextLength: number): Engine;
}

/** Throws InvalidInputError where the checkpoint is damaged, of no known family, or lacks tensors. */
export async function openReferenceCheckpoint(
  checkpoint: Checkpoint,
  settings: Parameters<typeof engineOn>[2],
): Promise<ReferenceCheckpoint> {
  const model = await openModel(checkpoint);
  const logical = await logicalTensors(checkpoint);
  checkCoverage(model, Object.values(drawGraphs(model, 1)), logical);
  return {
    model,
    logical,
    engine: (contextLength) => {
      const graph = drawGraphs(model, contextLength).decoder;
      return engineOn(graph, (files, room) => storedWeights(graph, logical, files, room), settings);
    },
  };
}
