import { type ErrorFigures, EXACT, figuresOf } from '../core/error-figures.js';
import { addErrors, type ErrorSums, histogramStride, noErrors } from '../core/error-sums.js';
import type { Gate } from '../core/gate.js';
import { countsSaturation } from '../core/grid-ends.js';
import { layerOf } from '../core/matrix-kinds.js';
import { own } from '../core/own.js';
import type { Job, QuantizePlan } from '../core/plan.js';
import type {
  GateReport,
  QuantizeReport,
  TensorReport,
  TotalReport,
  WeightHistogram,
} from '../core/quantize-report.js';
import { schemeText } from '../core/scheme-text.js';
import { VERSION } from '../core/version.js';
import { worstFirst } from '../report/quantize-figures.js';
import { storedDtype } from '../sources/stored-rows.js';
import { judge } from './quantize-gates.js';

/** Error sums of jobs, by their number. */
export type MeasuredErrors = ReadonlyMap<number, ErrorSums>;

const HISTOGRAMS = 6;
const FLOATS: Record<string, string> = own({ f16: 'F16', bf16: 'BF16' });

/** Whether a job may change a value: its codes or floats are not just taken over, or widened. */
export function rounds({ source, scheme, keepCodes }: Job): boolean {
  if (keepCodes) return false;
  const stored = storedDtype(source);
  return scheme.scheme === 'f32' ? stored === 'F64' : stored === undefined || stored !== FLOATS[scheme.scheme];
}

/** The plan with a note on every job that rounds, so that the engine measures it on its way. */
export const measured = <P extends { jobs: Job[] }>(plan: P): P => ({
  ...plan,
  jobs: plan.jobs.map((job) => (rounds(job) ? { ...job, measured: true } : job)),
});

/** The figures of each job; undefined where it was not measured though it rounds. */
export function jobFigures(jobs: readonly Job[], errors: MeasuredErrors): (ErrorFigures | undefined)[] {
  return jobs.map((job, index) => {
    const sums = errors.get(index);
    if (sums) return figuresOf(sums, countsSaturation(job.scheme));
    return rounds(job) ? undefined : EXACT;
  });
}

/** The figures of the jobs that were measured and of those that keep codes, by their names. */
export function errorsByName(jobs: readonly Job[], errors: MeasuredErrors): Map<string, ErrorFigures> {
  const named = new Map<string, ErrorFigures>();
  if (errors.size === 0) return named;
  for (const [index, figures] of jobFigures(jobs, errors).entries()) {
    const { name, keepCodes } = jobs[index];
    if (figures && (errors.has(index) || keepCodes)) named.set(name, figures);
  }
  return named;
}

/** Makes the report of a quantization whose jobs were measured. */
export function quantizeReport(
  plan: QuantizePlan,
  errors: MeasuredErrors,
  gates: readonly Gate[],
  reproduce: string,
): QuantizeReport {
  const figures = jobFigures(plan.jobs, errors);
  const planned = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const tensors = plan.jobs.map((job, index): TensorReport => {
    const { name, source, scheme, outputs } = job;
    const weights = source.rows * source.cols;
    const tensor = planned.get(name);
    const nbytes = tensor?.nbytes ?? Object.values(outputs).reduce((sum, part) => sum + part.nbytes, 0);
    return {
      name,
      layer: layerOf(name) ?? null,
      module: moduleOf(name),
      shape: tensor?.shape ?? [source.rows, source.cols],
      scheme: schemeText(scheme),
      fate: tensor?.fate ?? 'rounds',
      weights,
      bitsPerWeight: weights ? (8 * nbytes) / weights : 0,
      ...(figures[index] ?? { ...EXACT, exact: false, cosine: null, maxAbsError: null, saturated: null }),
    };
  });
  const total = totalOf('all', plan.jobs, [...errors.keys()], tensors, errors);
  const ids = new Map<string, number[]>();
  for (const [index, { scheme }] of tensors.entries()) {
    if (errors.has(index)) ids.set(scheme, [...(ids.get(scheme) ?? []), index]);
  }
  const schemes = [...ids].map(([scheme, indices]) => totalOf(scheme, plan.jobs, indices, tensors, errors));
  const { parameters, weightBytes, sourceBytes, bitsPerWeight } = plan.totals;
  const judged: GateReport[] = gates.map((gate) => judge(gate, tensors, { ...total, bitsPerWeight }));
  return {
    formatVersion: 1,
    tool: { name: 'halfbyte', version: VERSION },
    model: modelName(plan.checkpoint.config),
    layout: plan.options.layout,
    verdict: judged.every(({ verdict }) => verdict === 'pass') ? 'pass' : 'fail',
    parameters,
    weightBytes,
    sourceBytes,
    bitsPerWeight,
    total,
    schemes,
    tensors,
    gates: judged,
    histograms: histogramsOf(plan.jobs, tensors, errors),
    reproduce,
  };
}

/** Takes tensors together: sums are added in the order of the jobs. */
function totalOf(
  scheme: string,
  jobs: readonly Job[],
  indices: readonly number[],
  tensors: readonly TensorReport[],
  errors: MeasuredErrors,
): TotalReport {
  const sums = noErrors();
  let [weights, bits] = [0, 0];
  const ordered = [...indices].sort((a, b) => a - b);
  for (const index of ordered) {
    addErrors(sums, errors.get(index) as ErrorSums);
    weights += tensors[index].weights;
    bits += tensors[index].weights * tensors[index].bitsPerWeight;
  }
  const saturates = ordered.every((index) => countsSaturation(jobs[index].scheme));
  const bitsPerWeight = weights ? bits / weights : 0;
  return { scheme, tensors: ordered.length, weights, bitsPerWeight, ...figuresOf(sums, saturates) };
}

function histogramsOf(
  jobs: readonly Job[],
  tensors: readonly TensorReport[],
  errors: MeasuredErrors,
): WeightHistogram[] {
  const indices = new Map([...errors.keys()].map((index) => [tensors[index], index]));
  const worst = worstFirst([...indices.keys()]).slice(0, HISTOGRAMS);
  return worst.map((tensor) => {
    const index = indices.get(tensor) as number;
    const { rows, cols } = jobs[index].source;
    const { before, after } = errors.get(index) as ErrorSums;
    const stride = histogramStride(rows, cols);
    return { tensor: tensor.name, stride, before: [...before], after: [...after] };
  });
}

/** `model.layers.3.mlp.experts.17.up_proj.weight` is of module `mlp.experts.*.up_proj`. */
export function moduleOf(name: string): string {
  return name
    .replace(/^.*?(?:^|\.)(?:layers|h|blocks)\.\d+\./, '')
    .replace(/\.\d+\./g, '.*.')
    .replace(/^model\./, '')
    .replace(/\.weight$/, '');
}

function modelName({ architectures, model_type }: QuantizePlan['checkpoint']['config']): string {
  const named = Array.isArray(architectures) ? architectures[0] : undefined;
  return String(named ?? model_type ?? 'model');
}
