// What `import 'halfbyte'` gives. A stage is loaded when it is called first, so that importing costs next to nothing.
import type { VerifyReport } from '../core/verify-report.js';
import { VERSION } from '../core/version.js';
import type { CalibrateResult } from '../stages/calibrate.js';
import type { ConvertResult } from '../stages/convert.js';
import type { GenerateResult } from '../stages/generate.js';
import type { Inspection } from '../stages/inspect.js';
import type { QuantizeResult } from '../stages/quantize.js';
import {
  type CalibrateOptions,
  type ConvertOptions,
  checked,
  type GenerateOptions,
  type GroupSize,
  type InspectOptions,
  type QuantizeOptions,
  type VerifyOptions,
} from './options.js';

export {
  EnvironmentError,
  HalfbyteError,
  InterruptedError,
  InvalidInputError,
  UsageError,
  VerificationError,
} from '../core/errors.js';
export type { ProgressListener } from '../core/progress.js';
export type { QuantizeReport } from '../core/quantize-report.js';
export type { VerifyReport } from '../core/verify-report.js';
export type { CalibrateResult } from '../stages/calibrate.js';
export type { ConvertResult } from '../stages/convert.js';
export type { GenerateResult } from '../stages/generate.js';
export type { CheckpointInspection, Inspection, LintInspection, PackageInspection } from '../stages/inspect.js';
export type { QuantizeResult } from '../stages/quantize.js';
export type {
  CalibrateOptions,
  ConvertOptions,
  GenerateOptions,
  GroupSize,
  InspectOptions,
  QuantizeOptions,
  VerifyOptions,
} from './options.js';

/** The version of halfbyte. */
export const version = VERSION;

/**
 * Checkpoint (a directory as Hugging Face has them, or a .gguf file) -> ONNX package in `options.output`. Throws
 * UsageError, InvalidInputError, VerificationError (the target would refuse the graphs), EnvironmentError, and
 * InterruptedError once `options.signal` fires; what was done by then is kept for the next call.
 */
export async function convert(checkpoint: string, options: ConvertOptions): Promise<ConvertResult> {
  const { onProgress, onNote, signal, groupSize, ...asked } = checked('convert', checkpoint, options);
  const stage = await import('../stages/convert.js');
  const request = { ...asked, groupSize: columns(groupSize) };
  const settings = { ...asked, dryRun: asked.dryRun ?? false };
  return stage.convert(checkpoint, request, settings, onProgress ?? silent, signal ?? never(), onNote);
}

/**
 * Checkpoint -> quantized checkpoint for another engine in `options.output`. Where a gate does not hold nothing gets
 * that name: `checkpoint` of the result is null and `report.verdict` is `fail`. Errors as of `convert`.
 */
export async function quantize(checkpoint: string, options: QuantizeOptions): Promise<QuantizeResult> {
  const { onProgress, onNote, signal, groupSize, ...asked } = checked('quantize', checkpoint, options);
  const stage = await import('../stages/quantize.js');
  const request = { ...asked, groupSize: columns(groupSize) };
  const reproduce = asked.reproduce ?? callOf('quantize', checkpoint, options);
  const settings = { ...asked, dryRun: asked.dryRun ?? false, reproduce };
  return stage.quantize(checkpoint, request, settings, onProgress ?? silent, signal ?? never(), onNote);
}

/**
 * Judges a package or a quantized checkpoint against its reference. A difference is `verdict: 'fail'` of the report and
 * no error; throws InvalidInputError where one of the two cannot be read, UsageError, InterruptedError.
 */
export async function verify(path: string, options: VerifyOptions): Promise<VerifyReport> {
  const { ids, ...asked } = checked('verify', path, options);
  const stage = await import('../stages/verify.js');
  return stage.verify({
    ...asked,
    path,
    ids: ids?.map((sequence) => sequence.join(',')).join(';'),
    gates: asked.gates ?? [],
    strict: asked.strict ?? false,
    reproduce: asked.reproduce ?? callOf('verify', path, options),
    onProgress: asked.onProgress ?? silent,
  });
}

/** What a checkpoint or a package holds, from its headers alone; with `lint` what a device says of a package's graphs. */
export async function inspect(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const { lint } = checked('inspect', path, options);
  return (await import('../stages/inspect.js')).inspect(path, lint);
}

/** Runs a checkpoint in full precision on text and writes the ranges of its activations to the file `options.output`. */
export async function calibrate(checkpoint: string, options: CalibrateOptions): Promise<CalibrateResult> {
  const asked = checked('calibrate', checkpoint, options);
  return (await import('../stages/calibrate.js')).calibrate(checkpoint, asked);
}

/** Continues a prompt, or token ids, with a package. The model is loaded for each call. */
export async function generate(packageDirectory: string, options: GenerateOptions): Promise<GenerateResult> {
  const asked = checked('generate', packageDirectory, options);
  return (await import('../stages/generate.js')).generate({ ...asked, package: packageDirectory });
}

const silent = (): void => {};
const never = (): AbortSignal => new AbortController().signal;
const columns = (size: GroupSize | undefined): string | undefined => (size === undefined ? undefined : String(size));

/** The call that gives a report again, without what only shows or stops it. */
function callOf(name: string, path: string, options: object): string {
  const shown = new Set(['onProgress', 'onNote', 'signal', 'reports', 'reproduce']);
  const asked = Object.fromEntries(Object.entries(options).filter(([key]) => !shown.has(key)));
  return `await ${name}(${JSON.stringify(path)}, ${JSON.stringify(asked)})`;
}
