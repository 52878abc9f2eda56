import { formatBytes } from '../core/bytes.js';
import { UsageError } from '../core/errors.js';
import { matchesGlob } from '../core/glob.js';
import type { PlannedTensor, PlanTotals, QuantizePlan } from '../core/plan.js';
import { printableLines, shown } from '../core/printable.js';
import type { ProgressListener } from '../core/progress.js';
import type { QuantizeReport } from '../core/quantize-report.js';
import { schemeText } from '../core/scheme-text.js';
import { shardName } from '../engine/shard.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import { withOwnHead } from '../model/stored-head.js';
import { checkOutputDirectory } from '../places/directory.js';
import { checkOutputFiles, type OutputFile } from '../places/files.js';
import { quantizeReportFiles } from '../report/quantize-files.js';
import { quantizeText } from '../report/quantize-text.js';
import { refuseIdleSettings } from './idle-flags.js';
import { parseQuantizeGate } from './quantize-gates.js';
import { dressingOf, type QuantizeRequest, quantizeOptions } from './quantize-options.js';
import { planQuantize } from './quantize-plan.js';
import { type MeasuredErrors, measured, quantizeReport } from './quantize-report.js';
import { withSharedScales } from './shared-scales.js';
import { checkSpace, type WriteSettings, writePackage } from './write.js';

export interface QuantizeSettings extends WriteSettings {
  output: string;
  dryRun: boolean;
  /** Whether what rounding takes is measured; default true. */
  errors?: boolean | undefined;
  /** Demands of every tensor or of the total, as `sqnr_db>18`. */
  gates?: string[] | undefined;
  /** Files for the report, .html or .json. */
  reports?: string[] | undefined;
  /** The command line, for the report. */
  reproduce?: string | undefined;
}

export interface QuantizeResult {
  /** The written checkpoint's directory; null for a dry run, for a shard of the work and where a gate refused it. */
  checkpoint: string | null;
  shard: string | null;
  layout: string;
  tensors: PlannedTensor[];
  files: { name: string; nbytes: number }[];
  totals: PlanTotals;
  /** Bytes of all written files; null for a dry run. */
  checkpointBytes: number | null;
  seconds: number | null;
  /** What rounding took; null for a dry run, for a shard of the work and where it was not measured. */
  report: QuantizeReport | null;
}

/** Checkpoint directory -> checkpoint directory in another layout: open, plan and, unless it is a dry run, write. */
export async function quantize(
  checkpointDir: string,
  request: QuantizeRequest,
  settings: QuantizeSettings,
  onProgress: ProgressListener,
  signal: AbortSignal,
  onNote: (text: string) => void = () => {},
): Promise<QuantizeResult> {
  const started = performance.now();
  const { gates, reports } = reporting(settings);
  const demand = { force: settings.force ?? false, inputs: [checkpointDir] };
  if (!settings.dryRun) checkOutputDirectory(settings.output, demand);
  checkOutputFiles(reportPlaces(settings.reports), demand);
  const checkpoint = withOwnHead(openCheckpoint(checkpointDir), onNote);
  for (const text of checkpoint.notes ?? []) onNote(text);
  const dressing = await dressingOf(request);
  const options = await quantizeOptions(request, dressing);
  refuseIdleSettings(request, [options.args, ...options.overrides.map(({ scheme }) => scheme)]);
  const isGridLeftOpen =
    request.groupSize === undefined && request.asymmetric === undefined && request.strategy === undefined;
  const { plan, leftBehind, notes = [] } = await planQuantize(checkpoint, dressing, options, isGridLeftOpen, onNote);
  if (leftBehind.length > 0) {
    onNote(`left behind, since they are no weights: ${listed(leftBehind)}`);
  }
  for (const note of notes) onNote(note);
  const undivided = leftUndivided(plan);
  if (undivided.length > 0) {
    onNote(`left alone, since the groups do not divide them (another --group-size may): ${listed(undivided)}`);
  }
  const edges = plan.tensors.filter(({ scheme, shape, fate }) => {
    const { block_structure: block } = scheme;
    return (
      fate !== 'unquantized' && scheme.strategy === 'block' && block?.some((size, axis) => shape[axis] % size !== 0)
    );
  });
  if (edges.length > 0) {
    onNote(
      `blocks at the edge are smaller, as DeepSeek and vLLM have them; transformers divides rows evenly on the CPU and is no reference here: ${listed(edges.map(({ name, shape }) => `${name} [${shape.join(', ')}]`))}`,
    );
  }
  const rounded = plan.jobs.filter(({ source, keepCodes, layout }) => source.kind === 'packed' && layout && !keepCodes);
  if (rounded.length > 0 && options.layout !== 'plain') {
    onNote(`rounded again, since the grids differ: ${listed(rounded.map(({ name }) => name))}`);
  }
  const result = {
    layout: options.layout,
    tensors: plan.tensors,
    files: plan.files,
    totals: plan.totals,
    shard: settings.shard === undefined ? null : shardName(settings.shard),
  };
  if (settings.dryRun) {
    return { ...result, shard: null, checkpoint: null, checkpointBytes: null, seconds: null, report: null };
  }
  checkSpace(plan, settings.output, settings.shard);
  const isMeasured = settings.errors ?? true;
  const jobs = await withSharedScales(plan.jobs, dressing, onProgress, signal);
  const complete = isMeasured ? measured({ ...plan, jobs }) : { ...plan, jobs };
  const reportOf = (errors: MeasuredErrors) => quantizeReport(complete, errors, gates, settings.reproduce ?? '');
  const written = await writePackage(
    complete,
    settings.output,
    { ...settings, accepts: (errors) => !isMeasured || reportOf(errors).verdict === 'pass' },
    onProgress,
    signal,
    onNote,
  );
  const report = isMeasured && settings.shard === undefined ? reportOf(written.errors) : null;
  if (report) await reports.write(report);
  return {
    ...result,
    checkpoint: written.complete ? settings.output : null,
    checkpointBytes: written.packageBytes,
    seconds: (performance.now() - started) / 1000,
    report,
  };
}

/** Matrices of linear layers that the layout has no form for and nobody asked to leave alone, with their sizes. */
function leftUndivided({ tensors, options: { only, skip } }: QuantizePlan): string[] {
  const isAsked = (name: string) =>
    skip.some((glob) => matchesGlob(name, glob)) || (only.length > 0 && !only.some((glob) => matchesGlob(name, glob)));
  return tensors
    .filter(({ fate, kind }) => fate === 'unquantized' && kind === 'linear')
    .filter(({ name }) => !isAsked(name))
    .map(({ name, shape }) => `${name} [${shape.join(', ')}]`);
}

/** Where `--report` writes. */
export const reportPlaces = (paths: readonly string[] = []): OutputFile[] =>
  paths.map((path) => ({ flag: '--report', path }));

/** Reads and checks what is asked of the error report, before any work. */
function reporting({ errors = true, gates = [], reports = [], shard, dryRun }: QuantizeSettings) {
  const asked = gates.length > 0 ? '--gate' : reports.length > 0 ? '--report' : undefined;
  if (asked && !errors) {
    throw new UsageError(`${asked} needs the errors that --no-errors leaves out.`, `leave out one of the two.`);
  }
  if (asked && shard !== undefined) {
    throw new UsageError(
      `${asked} with --shard: a part of the work does not know the errors of the whole.`,
      `halfbyte merge <dir> ${asked} ... when every part is written.`,
    );
  }
  if (asked && dryRun) throw new UsageError(`${asked} with --dry-run: nothing is measured.`, 'leave out --dry-run.');
  return { gates: gates.map(parseQuantizeGate), reports: quantizeReportFiles(reports) };
}

const listed = (names: string[]) =>
  `${names.slice(0, 3).map(shown).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;

/** A result as text for a terminal: every tensor of a dry run, a few lines of a written checkpoint. */
export function describeQuantize(result: QuantizeResult): string {
  const { totals, tensors, files, layout } = result;
  const counts = new Map<string, number>();
  for (const { fate } of tensors) counts.set(fate, (counts.get(fate) ?? 0) + 1);
  const told = { rounds: 'quantized', keeps: 'with their codes kept', unquantized: 'left alone' };
  const fates = [...counts].map(([fate, count]) => `${count} ${told[fate as PlannedTensor['fate']]}`).join(', ');
  const summary = [
    `${layout}: ${tensors.length} tensors: ${fates}`,
    `${formatBytes(totals.sourceBytes)} -> ${formatBytes(totals.weightBytes)}, ${totals.bitsPerWeight.toFixed(2)} bits per weight`,
  ];
  if (result.shard !== null) {
    return `shard ${result.shard} is written; when every shard is, "halfbyte merge" makes the checkpoint`;
  }
  const { report } = result;
  if (report?.verdict === 'fail') {
    const kept = 'not given its name, since a gate does not hold; the same command with another --gate ends at once';
    return [quantizeText(report), `the checkpoint was ${kept}`].join('\n');
  }
  if (result.checkpoint !== null) {
    const lines = [`${result.checkpoint}, ${result.seconds?.toFixed(1)} s`, ...summary];
    return [...(report ? [quantizeText(report)] : []), ...lines].join('\n');
  }
  const nameWidth = tensors.reduce((most, { name }) => Math.max(most, shown(name).length), 0);
  const lines = tensors.map(
    ({ name, scheme, shape, fate, nbytes }) =>
      `  ${shown(name).padEnd(nameWidth)}  ${fate.padEnd(11)}  ${schemeText(scheme)}  [${shape.join(', ')}]  ${formatBytes(nbytes)}`,
  );
  return printableLines([
    ...lines,
    '',
    ...files.map(({ name, nbytes }) => `  ${name}  ${formatBytes(nbytes)}`),
    '',
    ...summary,
  ]);
}
