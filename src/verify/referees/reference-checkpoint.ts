import type { Checkpoint } from '../../core/checkpoint.js';
import type { LogicalTensor } from '../../core/weights.js';
import { checkCoverage } from '../../model/coverage.js';
import { logicalTensorsOf } from '../../model/logical-tensors.js';
import { drawGraphs, type Model, openModel, servedPositions } from '../../model/model.js';
import { storedWeights } from '../../reference/stored-weights.js';
import { type Engine, engineOn } from './engine-on-weights.js';

/** A checkpoint ready to be asked: its model, its logical tensors and the engine on its own weights. */
export interface ReferenceCheckpoint {
  model: Model;
  logical: ReadonlyMap<string, LogicalTensor>;
  /** The positions that one graph of it can serve. */
  positions: number;
  /** Draws the decoder for so many positions and puts the engine on the checkpoint's weights. */
  engine(contextLength: number): Engine;
}

/** Throws InvalidInputError where the checkpoint is damaged, of no known family, or lacks tensors. */
export async function openReferenceCheckpoint(
  checkpoint: Checkpoint,
  settings: Parameters<typeof engineOn>[2],
): Promise<ReferenceCheckpoint> {
  const model = await openModel(checkpoint);
  const logical = await logicalTensorsOf(model);
  checkCoverage(model, Object.values(drawGraphs(model, 1)), logical);
  return {
    model,
    logical,
    positions: servedPositions(model.config),
    engine: (contextLength) => {
      const graph = drawGraphs(model, contextLength).decoder;
      return engineOn(graph, (files, room) => storedWeights(graph, logical, files, room), settings);
    },
  };
}
