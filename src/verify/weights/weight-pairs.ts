import { checkpointSource, leavesOf } from '../../core/weight-source.js';
import type { LogicalTensor, RowSource } from '../../core/weights.js';
import { resolveSource } from '../../sources/resolve.js';
import type { PackageWeight, PackageWeights } from '../subject/package-weights.js';
import { schemeOf } from '../subject/tensor-scheme.js';

/** A weight beside the checkpoint's. */
export interface WeightPair {
  name: string;
  shape: number[];
  reference: RowSource;
  actual: Pick<PackageWeight, 'source' | 'scheme'>;
}

/** Tensor by tensor of the checkpoint where the package tells them apart, else weight by weight of the drawing. */
export function pairsOf(weights: PackageWeights, logical: ReadonlyMap<string, LogicalTensor>) {
  const { drawn } = weights;
  const pairs = new Map<string, WeightPair>();
  const missing: string[] = [];
  // Of a tensor that the drawing cuts into parts the package may tell some rows alone: its parts are compared then.
  const isWhole = ([leaf, actual]: readonly [string, PackageWeight | undefined]) => {
    const own = logical.get(leaf)?.source;
    return actual !== undefined && actual.source.rows === own?.rows && actual.source.cols === own.cols;
  };
  for (const { name, shape } of Object.values(drawn.weights)) {
    const source = checkpointSource(drawn.weights[name], drawn.weights);
    const leaves = leavesOf(source);
    const known = leaves.map((leaf) => [leaf, weights.leaf(leaf)] as const);
    const reference = resolveSource(source, (leaf) => logical.get(leaf));
    const stored = weights.stored(name);
    if (reference.kind === 'rotary') {
      const isAlike = stored?.source.rows === reference.rows && stored.source.cols === reference.cols;
      if (stored && isAlike) pairs.set(name, { name, shape, reference, actual: stored });
    } else if (typeof source !== 'string' && !('tied' in source) && known.every(isWhole)) {
      for (const [leaf, actual] of known) {
        const { source: own, shape: ownShape } = logical.get(leaf) as LogicalTensor;
        if (actual) pairs.set(leaf, { name: leaf, shape: ownShape, reference: own, actual });
      }
    } else {
      const actual = findOrUndefined(weights, name);
      const isAlike = actual && actual.source.rows * actual.source.cols === reference.rows * reference.cols;
      if (actual && isAlike && actual.source.cols === reference.cols)
        pairs.set(name, { name, shape, reference, actual });
      else missing.push(name);
    }
  }
  return { pairs: [...pairs.values()], missing };
}

function findOrUndefined(weights: PackageWeights, name: string): PackageWeight | undefined {
  try {
    return weights.find(name);
  } catch {
    return undefined;
  }
}

/** Every tensor of a checkpoint beside the reference's of the same name; tensors that stand in one of them are missing. */
export async function checkpointPairs(
  own: ReadonlyMap<string, LogicalTensor>,
  reference: ReadonlyMap<string, LogicalTensor>,
): Promise<{ pairs: WeightPair[]; missing: string[] }> {
  const pairs: WeightPair[] = [];
  const missing = [...own.keys()].filter((name) => !reference.has(name));
  for (const { name, shape, source } of reference.values()) {
    const found = own.get(name);
    const isAlike = found?.source.rows === source.rows && found.source.cols === source.cols;
    if (!found || !isAlike) missing.push(name);
    else
      pairs.push({ name, shape, reference: source, actual: { source: found.source, scheme: await schemeOf(found) } });
  }
  return { pairs, missing };
}
