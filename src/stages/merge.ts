import { formatBytes } from '../core/bytes.js';
import { InvalidInputError, UsageError } from '../core/errors.js';
import type { Plan, QuantizePlan } from '../core/plan.js';
import type { ProgressListener } from '../core/progress.js';
import type { QuantizeReport } from '../core/quantize-report.js';
import { collect } from '../engine/execute.js';
import { parseSize } from '../engine/memory.js';
import { openOutput } from '../engine/output.js';
import { checkOutputFiles } from '../places/files.js';
import { quantizeReportFiles } from '../report/quantize-files.js';
import { quantizeText } from '../report/quantize-text.js';
import { reportPlaces } from './quantize.js';
import { parseQuantizeGate } from './quantize-gates.js';
import { quantizeReport } from './quantize-report.js';
import { encodedModels, finish } from './write.js';

export interface MergeSettings {
  force?: boolean | undefined;
  workers?: number | undefined;
  /** As `200MiB`. */
  maxMemory?: string | undefined;
  /** Demands of a quantized checkpoint, as `sqnr_db>18`, and files for its error report. */
  gates?: string[] | undefined;
  reports?: string[] | undefined;
  /** The command line, for the report. */
  reproduce?: string | undefined;
}

export interface MergeResult {
  /** null where a gate refused it. */
  package: string | null;
  packageBytes: number;
  seconds: number;
  /** What rounding took, for a quantized checkpoint whose parts were measured. */
  report: QuantizeReport | null;
}

/**
 * Finishes the package that `convert --shard i/n` processes have written beside `directory`: checks that all parts are
 * there and unharmed, then writes graphs and manifest. The package equals that of one process byte for byte.
 * Throws InvalidInputError where parts are missing or damaged.
 */
export async function merge(
  directory: string,
  settings: MergeSettings,
  onProgress: ProgressListener,
  signal: AbortSignal,
): Promise<MergeResult> {
  const started = performance.now();
  const gates = (settings.gates ?? []).map(parseQuantizeGate);
  const reports = quantizeReportFiles(settings.reports ?? []);
  checkOutputFiles(reportPlaces(settings.reports), { force: settings.force ?? false, inputs: [] });
  const maxMemory = settings.maxMemory === undefined ? undefined : parseSize(settings.maxMemory);
  const output = openOutput(directory, { force: settings.force ?? false, inputs: [], merge: true });
  try {
    const stored = output.readPlan();
    if (!stored) {
      throw new InvalidInputError(
        `${directory}: no shard has left its plan.`,
        'run convert --shard i/n with the same -o for every part first.',
      );
    }
    const { plan, identity, settings: finishing } = stored;
    const { sha256 } = finishing as { sha256: boolean };
    const result = await collect(plan, identity, output, { workers: settings.workers, maxMemory, signal, onProgress });
    const isMeasured = 'tensors' in plan && plan.jobs.some((job) => job.measured);
    const report = isMeasured
      ? quantizeReport(plan as QuantizePlan, result.errors, gates, settings.reproduce ?? '')
      : null;
    if (!report && gates.length + (settings.reports?.length ?? 0) > 0) {
      throw new UsageError(
        `${directory}: its parts have no measured errors for --gate and --report.`,
        'they are for checkpoints of "quantize", without --no-errors.',
      );
    }
    const seconds = () => (performance.now() - started) / 1000;
    if (report) await reports.write(report);
    if (report?.verdict === 'fail') return { package: null, packageBytes: 0, seconds: seconds(), report };
    const whole = plan as Plan | QuantizePlan;
    const packageBytes = await finish(whole, await encodedModels(whole), result, output, sha256);
    output.commit();
    return { package: directory, packageBytes, seconds: seconds(), report };
  } finally {
    output.release();
  }
}

/** A result as text for a terminal. */
export function describeMerge({ package: written, packageBytes, seconds, report }: MergeResult): string {
  const lines = report ? [quantizeText(report)] : [];
  if (written === null) lines.push('the checkpoint was not given its name, since a gate does not hold; its parts stay');
  else lines.push(`${written}: ${formatBytes(packageBytes)}, ${seconds.toFixed(1)} s`);
  return lines.join('\n');
}
