import type { Graph } from '../../core/graph.js';
import type { Check, Hypothesis, Localisation, TensorError } from '../../core/verify-report.js';
import type { RunContext } from '../structure/run-context.js';
import type { TokenSet } from '../tokens/token-set.js';
import type { Findings } from '../verdict/found-so-far.js';
import { short } from '../verdict/short-number.js';
import { firstDeviation, firstStale } from './first-deviation.js';

const WORST = 10;

const failed = (checks: Check[], id: RegExp) => checks.some((each) => each.verdict === 'fail' && id.test(each.id));

/**
 * Says where a failed package or checkpoint is wrong: tensors off their floors and, where there is a graph that runs
 * (`context`), the first value that deviates and the cache.
 */
export async function localise(
  context: RunContext | null,
  graphs: ReadonlyMap<string, Graph>,
  sets: TokenSet[],
  weightHypotheses: Hypothesis[],
  findings: Findings,
): Promise<void> {
  const { checks, tensors } = findings;
  if (!checks.some(({ verdict }) => verdict === 'fail')) return;
  const where: Localisation = { firstLayer: null, findings: [], worstTensors: [], hypotheses: weightHypotheses };
  const off = tensors.filter(({ verdict }) => verdict === 'fail').sort((a, b) => shortfall(b) - shortfall(a));
  where.worstTensors = off.slice(0, WORST).map(({ name }) => name);
  where.findings.push(...off.slice(0, WORST).map((tensor) => besideNeighbours(tensor, tensors)));
  const layers = off.flatMap(({ layer }) => layer ?? []);
  if (layers.length > 0) where.firstLayer = Math.min(...layers);
  where.findings.push(...weightHypotheses.filter(({ likely }) => likely).map(({ statement }) => statement));

  if (context && sets.length > 0) await lookInside(context, graphs, sets, checks, where);
  if (where.findings.length > 0) findings.localisation = where;
}

/** The first value of the graph that runs that is off, in one prefill and through the cache. */
async function lookInside(
  context: RunContext,
  graphs: ReadonlyMap<string, Graph>,
  sets: TokenSet[],
  checks: Check[],
  where: Localisation,
): Promise<void> {
  const longest = sets.flatMap(({ sequences }) => sequences).reduce((a, b) => (b.length > a.length ? b : a));
  const isPipeline = graphs.size > 1;
  let isFound = false;
  if (failed(checks, /^(structure|logits|windows) /)) {
    const deviation = await firstDeviation(context, graphs, isPipeline ? longest : sets[0].sequences[0]);
    if (deviation) {
      where.findings.unshift(deviation.message, ...statementsOf(deviation.hypotheses));
      where.hypotheses.push(...deviation.hypotheses);
      where.firstLayer = deviation.layer ?? where.firstLayer;
      isFound = true;
    }
  }
  if (!failed(checks, /^decode /)) return;
  // What goes one by one through the iterator of a pipeline is another graph, with mistakes of its own.
  if (!isPipeline) {
    const stale = await firstStale(context, graphs, longest);
    if (stale) where.findings.push(stale.message);
    if (!isFound) where.firstLayer ??= stale?.layer ?? null;
    return;
  }
  const decoded = await firstDeviation(context, graphs, longest, 'steps');
  if (!decoded) return;
  where.findings.push(decoded.message, ...statementsOf(decoded.hypotheses));
  where.hypotheses.push(...decoded.hypotheses);
  if (!isFound) where.firstLayer ??= decoded.layer;
}

const statementsOf = (hypotheses: Hypothesis[]) => hypotheses.map(({ statement }) => statement);

/** By how many dB a weight misses its floor; one that is off its grid in single groups alone counts little. */
const shortfall = ({ sqnrDb, floorDb }: TensorError): number => (floorDb ?? 0) - (sqnrDb ?? Number.POSITIVE_INFINITY);

/** `layer 7 self_attn.k_proj: cosine 0.31 while its neighbours have 0.999`. */
function besideNeighbours(tensor: TensorError, all: TensorError[]): string {
  const ending = (name: string) => name.replace(/\d+/g, '*');
  const neighbours = all.filter((each) => each !== tensor && ending(each.name) === ending(tensor.name));
  const cosines = neighbours.map(({ cosine }) => cosine).sort((a, b) => a - b);
  const median = cosines[Math.floor(cosines.length / 2)];
  const beside = median === undefined ? '' : ` while its neighbours have ${short(median)}`;
  const steps =
    tensor.worstGroupSteps !== null && tensor.worstGroupSteps > 1
      ? `, one group ${short(tensor.worstGroupSteps)} steps off`
      : '';
  return `${tensor.name}: cosine ${short(tensor.cosine)}${beside}${steps}`;
}
