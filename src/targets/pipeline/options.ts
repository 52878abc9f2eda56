import { UsageError } from '../../core/errors.js';
import type { ConvertOptions } from '../../core/options.js';
import type { QuantizationArgs } from '../../core/scheme.js';

/** The longest static cache that stands without being asked for: half a gigabyte of float32 for a model of 1.5B. */
const DEFAULT_CONTEXT = 4096;

/** The kernel that makes rotary tables is exact for angles below this. */
const MOST_CONTEXT = 1 << 20;

/** int4 in groups of 32, as both ends of a pipeline have it on the CPU. */
export const END_SCHEME: QuantizationArgs = {
  scheme: 'int4',
  strategy: 'group',
  group_size: 32,
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'mse',
};

/** int4 with one scale a row, which NPUs run fastest. */
export const CHANNEL_SCHEME: QuantizationArgs = {
  scheme: 'int4',
  strategy: 'channel',
  symmetric: true,
  scale_dtype: 'F32',
  algorithm: 'mse',
};

/** The smaller of the model's limit and 4096 positions, rounded down to whole prompt windows. */
export function staticContextLength(modelLimit: number, prefill: number): number {
  const windows = Math.floor(Math.min(modelLimit, DEFAULT_CONTEXT) / prefill);
  if (windows === 0) {
    throw new UsageError(
      `--prefill ${prefill}: this model serves ${modelLimit} positions, less than one window.`,
      `--prefill ${Math.min(modelLimit, 64)}.`,
    );
  }
  return windows * prefill;
}

function checkWindows({ contextLength, prefill }: ConvertOptions): void {
  if (prefill < 2) {
    throw new UsageError(
      `--prefill ${prefill}: a prompt window has at least 2 tokens; one is what the iterator takes.`,
      '--prefill 64.',
    );
  }
  if (contextLength > MOST_CONTEXT) {
    throw new UsageError(
      `--context-length ${contextLength}: a static cache of at most ${MOST_CONTEXT} positions can be made.`,
      `--context-length ${staticContextLength(MOST_CONTEXT, prefill)}.`,
    );
  }
  if (contextLength % prefill === 0) return;
  const below = Math.max(prefill, Math.floor(contextLength / prefill) * prefill);
  const nearest = [below, below + prefill];
  throw new UsageError(
    `--context-length ${contextLength}: the static cache is filled in windows of ${prefill} tokens (--prefill), so its ` +
      `length must be a multiple of that.`,
    `--context-length ${nearest.join(' or ')}.`,
  );
}

function checkEnd(flag: string, { scheme, strategy }: QuantizationArgs): void {
  if (scheme === 'f32' || scheme === 'f16') return;
  if (scheme !== 'int4' && scheme !== 'int8') {
    throw new UsageError(`--${flag} ${scheme}: the ends run f32, f16, int8 and int4 on the CPU.`, `--${flag} int4.`);
  }
  if (strategy !== 'group') {
    throw new UsageError(`--${flag} ${scheme}: the ends run on the CPU, in groups.`, `leave out --${flag}.`);
  }
}

/** Throws UsageError for settings that no pipeline of static graphs has. */
export function checkPipelineOptions(options: ConvertOptions): void {
  checkWindows(options);
  checkEnd('embeddings', options.embeddings);
  checkEnd('lm-head', options.lmHead);
  for (const { scheme } of [options.weights, ...options.overrides.map((each) => each.scheme)]) {
    if (['f32', 'f16', 'int8', 'int4'].includes(scheme)) continue;
    throw new UsageError(`--weights ${scheme}: the graphs run f32, f16, int8 and int4.`, '--weights int4.');
  }
}
