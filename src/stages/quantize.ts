import { schemeText } from '../core/scheme-text.js';
import type { PlannedTensor, PlanTotals, ProgressListener } from '../core/types.js';
import { openCheckpoint } from '../formats/checkpoint.js';
import { dressingOf, type QuantizeRequest, quantizeOptions } from './quantize-options.js';
import { planQuantize } from './quantize-plan.js';
import { withSharedScales } from './shared-scales.js';
import { type WriteSettings, writePackage } from './write.js';

export interface QuantizeSettings extends WriteSettings {
  output: string;
  dryRun: boolean;
}

export interface QuantizeResult {
  /** The written checkpoint's directory; null for a dry run and for a shard of the work. */
  checkpoint: string | null;
  shard: string | null;
  layout: string;
  tensors: PlannedTensor[];
  files: { name: string; nbytes: number }[];
  totals: PlanTotals;
  /** Bytes of all written files; null for a dry run. */
  checkpointBytes: number | null;
  seconds: number | null;
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
  const checkpoint = openCheckpoint(checkpointDir);
  const dressing = await dressingOf(request);
  const options = await quantizeOptions(request, dressing);
  const isGridLeftOpen =
    request.groupSize === undefined && request.asymmetric === undefined && request.strategy === undefined;
  const { plan, leftBehind, notes = [] } = await planQuantize(checkpoint, dressing, options, isGridLeftOpen);
  if (leftBehind.length > 0) {
    onNote(`left behind, since they are no weights: ${listed(leftBehind)}`);
  }
  for (const note of notes) onNote(note);
  const rounded = plan.jobs.filter(({ source, keepCodes, layout }) => source.kind === 'packed' && layout && !keepCodes);
  if (rounded.length > 0 && request.layout !== 'plain') {
    onNote(`rounded again, since the grids differ: ${listed(rounded.map(({ name }) => name))}`);
  }
  const result = {
    layout: request.layout,
    tensors: plan.tensors,
    files: plan.files,
    totals: plan.totals,
    shard: settings.shard ?? null,
  };
  if (settings.dryRun) return { ...result, shard: null, checkpoint: null, checkpointBytes: null, seconds: null };
  const started = performance.now();
  const jobs = await withSharedScales(plan.jobs, dressing, onProgress, signal);
  const { complete, packageBytes } = await writePackage(
    { ...plan, jobs },
    settings.output,
    settings,
    onProgress,
    signal,
    onNote,
  );
  return {
    ...result,
    checkpoint: complete ? settings.output : null,
    checkpointBytes: packageBytes,
    seconds: (performance.now() - started) / 1000,
  };
}

const listed = (names: string[]) =>
  `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;

const size = (bytes: number) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** A result as text for a terminal: every tensor of a dry run, a few lines of a written checkpoint. */
export function describeQuantize(result: QuantizeResult): string {
  const { totals, tensors, files, layout } = result;
  const counts = new Map<string, number>();
  for (const { fate } of tensors) counts.set(fate, (counts.get(fate) ?? 0) + 1);
  const told = { rounds: 'quantized', keeps: 'with their codes kept', unquantized: 'left alone' };
  const fates = [...counts].map(([fate, count]) => `${count} ${told[fate as PlannedTensor['fate']]}`).join(', ');
  const summary = [
    `${layout}: ${tensors.length} tensors: ${fates}`,
    `${size(totals.sourceBytes)} -> ${size(totals.weightBytes)}, ${totals.bitsPerWeight.toFixed(2)} bits per weight`,
  ];
  if (result.shard !== null) {
    return `shard ${result.shard} is written; when every shard is, "halfbyte merge" makes the checkpoint`;
  }
  if (result.checkpoint !== null) {
    return [`${result.checkpoint}, ${result.seconds?.toFixed(1)} s`, ...summary].join('\n');
  }
  const nameWidth = Math.max(...tensors.map(({ name }) => name.length));
  const lines = tensors.map(
    ({ name, scheme, shape, fate, nbytes }) =>
      `  ${name.padEnd(nameWidth)}  ${fate.padEnd(11)}  ${schemeText(scheme)}  [${shape.join(', ')}]  ${size(nbytes)}`,
  );
  return [...lines, '', ...files.map(({ name, nbytes }) => `  ${name}  ${size(nbytes)}`), '', ...summary].join('\n');
}
