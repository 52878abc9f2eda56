import { cosineOf } from '../../core/error-sums.js';
import { layerOf } from '../../core/matrix-kinds.js';
import type { ProgressListener } from '../../core/progress.js';
import { schemeText } from '../../core/scheme-text.js';
import type { Check, TensorError } from '../../core/verify-report.js';
import { checkpointSource, leavesOf } from '../../core/weight-source.js';
import type { LogicalTensor, RowSource } from '../../core/weights.js';
import { InputFiles } from '../../sources/input-files.js';
import { openRows } from '../../sources/read.js';
import { resolveSource } from '../../sources/resolve.js';
import type { PackageWeight, PackageWeights } from '../package-weights.js';
import { ComparedRows } from './compared-rows.js';
import { short } from './findings.js';
import { stopIfAsked } from './stop.js';
import { measureWeight } from './weight-error.js';

/** A weight beside the checkpoint's. */
export interface WeightPair {
  name: string;
  shape: number[];
  reference: RowSource;
  actual: Pick<PackageWeight, 'source' | 'scheme'>;
}

/** Failing weights that get a check of their own; the rest are in the report's table. */
const NAMED = 12;

/**
 * Holds every weight of a package's graphs to the checkpoint's numbers: SQNR above its scheme's floor, no group off its
 * grid.
 */
export async function checkWeights(
  graphs: readonly PackageWeights[],
  logical: ReadonlyMap<string, LogicalTensor>,
  settings: { onProgress: ProgressListener; signal?: AbortSignal },
): Promise<{ checks: Check[]; tensors: TensorError[] }> {
  const all = graphs.map((weights) => pairsOf(weights, logical));
  // graphs share their rotary tables
  const pairs = new Map(all.flatMap((each) => each.pairs.map((pair) => [pair.name, pair])));
  const missing = all.flatMap((each) => each.missing);
  return checkPairs([...pairs.values()], missing, 'package', settings);
}

/** The same of weights that stand beside each other already; `missing` are those that one side does not have. */
export async function checkPairs(
  pairs: WeightPair[],
  missing: string[],
  subject: 'package' | 'checkpoint',
  settings: { onProgress: ProgressListener; signal?: AbortSignal },
): Promise<{ checks: Check[]; tensors: TensorError[] }> {
  const lacks =
    subject === 'package'
      ? 'the package has no tensor that is made of it, or not all of its rows'
      : 'it stands in one of the two checkpoints alone, or has another shape there';
  const checks: Check[] = missing.map((name) => ({
    id: `weight ${name}`,
    group: 'weights',
    verdict: 'fail',
    message: `${name}: ${lacks}.`,
    where: name,
  }));
  const tensors: TensorError[] = [];
  const files = new InputFiles();
  const memory = new ComparedRows();
  const total = pairs.reduce((sum, { reference }) => sum + 4 * reference.rows * reference.cols, 0);
  let done = 0;
  try {
    for (const pair of pairs) {
      stopIfAsked(settings.signal);
      const measured = await tensorError(pair, files, memory);
      tensors.push(measured.tensor);
      if (measured.check) checks.push(measured.check);
      done += 4 * pair.reference.rows * pair.reference.cols;
      settings.onProgress({ stage: 'weights', done, total, label: pair.name });
    }
  } finally {
    files.close();
  }
  if (checks.length === 0) checks.push(allHold(tensors));
  const rest = checks.length - NAMED;
  if (rest <= 1) return { checks, tensors };
  const message = `${rest} more weights differ from the checkpoint's by more than their schemes allow.`;
  return {
    checks: [...checks.slice(0, NAMED), { id: 'weights', group: 'weights', verdict: 'fail', message }],
    tensors,
  };
}

/** Tensor by tensor of the checkpoint where the package tells them apart, else weight by weight of the drawing. */
function pairsOf(weights: PackageWeights, logical: ReadonlyMap<string, LogicalTensor>) {
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

async function tensorError(
  pair: WeightPair,
  files: InputFiles,
  memory: ComparedRows,
): Promise<{ tensor: TensorError; check: Check | null }> {
  const { name, shape, actual } = pair;
  const reference = await openRows(pair.reference, files, memory.room);
  const ours = await openRows(actual.source, files, memory.room);
  const error = await measureWeight(reference, ours, actual.scheme, runsAlongRows(actual.source), memory);
  const { sqnrDb } = error;
  const holdsFloor = sqnrDb >= error.floorDb;
  const holdsSteps = error.worstGroupSteps === null || error.worstGroupSteps <= error.stepLimit;
  const tensor: TensorError = {
    name,
    layer: layerOf(name) ?? null,
    scheme: schemeText(actual.scheme),
    shape,
    sqnrDb: Number.isFinite(sqnrDb) ? sqnrDb : null,
    floorDb: error.floorDb,
    cosine: cosineOf(error.sums),
    maxAbsDifference: error.sums.greatest,
    worstGroupSteps: error.worstGroupSteps,
    verdict: holdsFloor && holdsSteps ? 'pass' : 'fail',
  };
  if (holdsFloor && holdsSteps) return { tensor, check: null };
  const base = { id: `weight ${name}`, group: 'weights' as const, verdict: 'fail' as const, where: name };
  const { worstGroupSteps, stepLimit, worstGroup } = error;
  if (!holdsFloor) {
    const message = `${name}: ${short(sqnrDb)} dB of signal to noise against the checkpoint, cosine ${short(tensor.cosine)}; ${tensor.scheme} reaches at least ${short(error.floorDb)} dB.`;
    return { tensor, check: { ...base, message, measured: sqnrDb, limit: error.floorDb, unit: 'dB' } };
  }
  const message = `${name}: the group at row ${worstGroup[0]}, column ${worstGroup[1]} is ${short(worstGroupSteps ?? 0)} steps off the checkpoint; rounding costs at most ${stepLimit}.`;
  return { tensor, check: { ...base, message, measured: worstGroupSteps ?? 0, limit: stepLimit, unit: 'steps' } };
}

/** Whether the groups of a package's tensor run along the rows of what is read from it. */
function runsAlongRows(source: RowSource): boolean {
  if (source.kind === 'transpose') return false;
  if (source.kind === 'concat' || source.kind === 'interleave') return source.sources.every(runsAlongRows);
  return 'source' in source ? runsAlongRows(source.source) : true;
}

function allHold(tensors: TensorError[]): Check {
  const margin = ({ sqnrDb, floorDb }: TensorError) => (sqnrDb ?? Number.POSITIVE_INFINITY) - (floorDb ?? 0);
  const least = tensors.reduce<TensorError | null>((a, b) => (a && margin(a) <= margin(b) ? a : b), null);
  const nearest = least?.sqnrDb == null ? 'all exactly' : `the nearest, ${least.name}, by ${short(margin(least))} dB`;
  return {
    id: 'weights',
    group: 'weights',
    verdict: 'pass',
    message: `All ${tensors.length} weights keep their schemes' floors: ${nearest}.`,
  };
}
