import { formatBytes, formatParameters } from '../core/bytes.js';
import type { Calibration } from '../core/calibration.js';
import type { Checkpoint } from '../core/checkpoint.js';
import { UsageError } from '../core/errors.js';
import type { ValueInfo } from '../core/graph.js';
import type { Plan } from '../core/plan.js';
import { printableLines, shown } from '../core/printable.js';
import type { ProgressListener } from '../core/progress.js';
import { schemeText } from '../core/scheme-text.js';
import { shardName } from '../engine/shard.js';
import { startThreadsAhead } from '../engine/threads.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import { operatorCounts } from '../graph/print.js';
import { checkOutputDirectory } from '../places/directory.js';
import { find, spelledId } from '../registry.js';
import type { ConvertRequest } from './convert-options.js';
import { type LintReport, lintNotes, lintPlan, refuseErrors } from './lint.js';
import { plan } from './plan.js';
import { checkSpace, type WriteSettings, writePackage } from './write.js';

/** A plan as people and CI read it. Sizes in bytes. */
export interface PlanSummary {
  graphs: { file: string; inputs: string[]; outputs: string[]; operators: Record<string, number> }[];
  tensors: { name: string; shape: number[]; scheme: string; nbytes: number }[];
  files: { name: string; nbytes: number }[];
  copies: string[];
  totals: Plan['totals'];
}

export interface ConvertResult {
  /** The package's directory; null for a dry run and for a shard, which `merge` makes a package of. */
  package: string | null;
  /** The part of the work that this run did, as `1/4`; null for all of it. */
  shard: string | null;
  plan: PlanSummary;
  /** What the target's rules say about the graphs; null for a target without rules, unless a pass found something. */
  lint: LintReport | null;
  /** Bytes of the finished package, data and graphs; null for a dry run. */
  packageBytes: number | null;
  seconds: number | null;
}

export interface ConvertSettings extends WriteSettings {
  output: string;
  dryRun: boolean;
  /** File that "halfbyte calibrate" wrote, for targets with integer activations. */
  calibration?: string | undefined;
}

const signature = (value: ValueInfo): string => `${value.name}: ${value.dtype} [${value.shape.join(', ')}]`;

/** What a plan will write, without weights read. */
export function summarize(planned: Plan): PlanSummary {
  return {
    graphs: planned.graphs.map(({ file, graph }) => ({
      file,
      inputs: graph.inputs.map(signature),
      outputs: graph.outputs.map(signature),
      operators: operatorCounts(graph),
    })),
    tensors: planned.jobs.map((job) => ({
      name: job.name,
      shape: [job.source.rows, job.source.cols],
      scheme: schemeText(job.scheme),
      nbytes: Object.values(job.outputs).reduce((sum, part) => sum + part.nbytes, 0),
    })),
    files: planned.files,
    copies: planned.copies,
    totals: planned.totals,
  };
}

/**
 * The calibration that a conversion needs: none for float activations, and none for a dry run without a file, whose
 * sizes do not depend on it.
 */
async function rangesFor(
  checkpoint: Checkpoint,
  request: ConvertRequest,
  { calibration: file, dryRun, output, shard }: ConvertSettings,
  onProgress: ProgressListener,
  signal: AbortSignal,
  onNote: ((text: string) => void) | undefined,
): Promise<Calibration | undefined> {
  const target = await find('targets', request.target ?? 'cpu');
  if ((request.activations ?? target?.defaults.activations) !== 'uint16') {
    if (file === undefined) return undefined;
    throw new UsageError(
      `--calibration ${file}: this conversion has float activations, which need no ranges.`,
      'leave it out, or convert for an NPU with --activations uint16.',
    );
  }
  // Loaded where it is needed: most conversions need none, and it brings the whole reference engine.
  if (file !== undefined) {
    const { readCalibration } = await import('../formats/calibration.js');
    const given = readCalibration(file);
    await (await import('./calibrate.js')).checkCalibration(checkpoint, given, file);
    return given;
  }
  if (dryRun) return undefined;
  // What does not fit is refused before the model runs.
  const sketch = await plan(checkpoint, request);
  const lint = await lintPlan(sketch);
  if (lint) refuseErrors(lint);
  checkSpace(sketch, output, shard);
  const { calibration } = await import('./calibrate.js');
  const found = await calibration(checkpoint, { onProgress, signal });
  const { text, tokens } = found.origin;
  onNote?.(`calibrated on ${tokens} tokens of ${text}; for better ranges make a file with "halfbyte calibrate"`);
  return found;
}

/** Checkpoint directory -> package directory: open, plan and, unless it is a dry run, write. */
export async function convert(
  checkpointDir: string,
  asked: ConvertRequest,
  settings: ConvertSettings,
  onProgress: ProgressListener,
  signal: AbortSignal,
  onNote?: (text: string) => void,
): Promise<ConvertResult> {
  const request = { ...asked, target: spelledId(asked.target ?? 'cpu') };
  const { output, force = false, calibration: given } = settings;
  const inputs = given === undefined ? [checkpointDir] : [checkpointDir, given];
  if (!settings.dryRun) checkOutputDirectory(output, { force, inputs });
  const checkpoint = openCheckpoint(checkpointDir);
  const inputBytes = checkpoint.files.reduce((sum, file) => sum + file.size, 0);
  const started = performance.now();
  const threads = settings.dryRun ? undefined : startThreadsAhead(inputBytes, settings.workers, settings.maxMemory);
  try {
    const ranges = await rangesFor(checkpoint, request, settings, onProgress, signal, onNote);
    const planned = await plan(checkpoint, request, ranges, onNote);
    const summary = summarize(planned);
    if (planned.unreadConfigKeys.length > 0) {
      onNote?.(`config.json: keys that no graph depends on: ${planned.unreadConfigKeys.map(shown).join(', ')}`);
    }
    const { max_position_embeddings: positions } = checkpoint.config;
    if (typeof positions === 'number' && planned.options.contextLength > positions) {
      onNote?.(
        `--context-length ${planned.options.contextLength}: config.json says that the model was made for ${positions} ` +
          'positions; what it says beyond them is not to be relied on.',
      );
    }
    const lint = await lintPlan(planned);
    if (lint) refuseErrors(lint);
    if (lint) for (const text of lintNotes(lint)) onNote?.(text);
    const made = { plan: summary, lint };
    if (settings.dryRun) return { package: null, shard: null, ...made, packageBytes: null, seconds: null };
    checkSpace(planned, output, settings.shard);
    const writing = { ...settings, threads };
    const { complete, packageBytes } = await writePackage(planned, output, writing, onProgress, signal, onNote);
    return {
      package: complete ? output : null,
      shard: settings.shard === undefined ? null : shardName(settings.shard),
      ...made,
      packageBytes,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await threads?.close();
  }
}

/** A result as text for a terminal: the whole plan of a dry run, a few lines of a finished package. */
export function describeConvert(result: ConvertResult): string {
  const { totals, graphs, tensors, files, copies } = result.plan;
  const weights = `${formatParameters(totals.parameters)}, ${formatBytes(totals.sourceBytes)} -> ${formatBytes(totals.weightBytes)}, ${totals.bitsPerWeight.toFixed(2)} bits per weight`;
  if (result.shard !== null) {
    return `shard ${result.shard} is written; when every shard is, "halfbyte merge" makes the package`;
  }
  if (result.package !== null) {
    return `${result.package}: ${weights}; package ${formatBytes(result.packageBytes ?? 0)}, ${result.seconds?.toFixed(1)} s`;
  }
  const lines: string[] = [];
  for (const graph of graphs) {
    lines.push(graph.file);
    for (const input of graph.inputs) lines.push(`  in   ${input}`);
    for (const output of graph.outputs) lines.push(`  out  ${output}`);
    const counts = Object.entries(graph.operators).map(([op, count]) => `${op} ${count}`);
    lines.push(`  ops  ${counts.join(', ')}`);
  }
  const nameWidth = tensors.reduce((most, { name }) => Math.max(most, shown(name).length), 0);
  const schemeWidth = tensors.reduce((most, { scheme }) => Math.max(most, scheme.length), 0);
  lines.push('', 'tensors');
  for (const { name, shape, scheme, nbytes } of tensors) {
    lines.push(
      `  ${shown(name).padEnd(nameWidth)}  ${scheme.padEnd(schemeWidth)}  [${shape.join(', ')}]  ${formatBytes(nbytes)}`,
    );
  }
  lines.push('', 'files', ...files.map(({ name, nbytes }) => `  ${name}  ${formatBytes(nbytes)}`));
  lines.push(...copies.map((name) => `  ${name}  copied`), '', weights);
  return printableLines(lines);
}
