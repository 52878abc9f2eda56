import { cosineOf } from '../../core/error-sums.js';
import { stopIfAsked } from '../../core/interruption.js';
import { layerOf } from '../../core/matrix-kinds.js';
import type { ProgressListener } from '../../core/progress.js';
import { schemeText } from '../../core/scheme-text.js';
import type { Check, TensorError } from '../../core/verify-report.js';
import type { LogicalTensor, RowSource } from '../../core/weights.js';
import { InputFiles } from '../../sources/input-files.js';
import { openRows } from '../../sources/read.js';
import type { PackageWeights } from '../subject/package-weights.js';
import { short } from '../verdict/short-number.js';
import { ComparedRows } from './compared-rows.js';
import { measureWeight } from './weight-error.js';
import { pairsOf, type WeightPair } from './weight-pairs.js';

/** Failing weights that get a check of their own; the rest are in the report's table. */
const NAMED = 12;

/**
 * Holds every weight of a package's graphs to the checkpoint's numbers: SQNR above its scheme's floor, no group off its
 * grid.
 */
export async function checkWeights(
  graphs: readonly PackageWeights[],
  logical: ReadonlyMap<string, LogicalTensor>,
  settings: { onProgress: ProgressListener; signal?: AbortSignal | undefined },
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
  settings: { onProgress: ProgressListener; signal?: AbortSignal | undefined },
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
      stopIfAsked(settings.signal, 'verifying');
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
