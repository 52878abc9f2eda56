import type { Graph } from '../core/graph.js';
import { checkpointSource } from '../core/weight-source.js';
import type { LogicalTensor } from '../core/weights.js';
import type { InputFiles } from '../sources/input-files.js';
import { type KernelRoom, openRows } from '../sources/read.js';
import { resolveSource } from '../sources/resolve.js';
import type { WeightLookup } from './weights.js';

/** The weights of a graph from a checkpoint's bytes, whatever layout its tensors wear, decoded in `room`. The caller closes `files`. */
export function storedWeights(
  graph: Graph,
  logical: ReadonlyMap<string, LogicalTensor>,
  files: InputFiles,
  room?: KernelRoom,
): WeightLookup {
  return (name) => {
    const source = checkpointSource(graph.weights[name], graph.weights);
    return openRows(
      resolveSource(source, (each) => logical.get(each)),
      files,
      room,
    );
  };
}
