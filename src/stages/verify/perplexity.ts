import type { ProgressListener } from '../../core/progress.js';
import type { Comparison, PerplexityResult } from '../../core/verify-report.js';
import type { Decoder } from '../../runtime/decoder.js';
import { TEXT } from './choose-sets.js';
import { measurePerplexity, type TextToMeasure } from './run-package.js';

/** Perplexity of a text: as the comparison with the reference measured it on the same windows, else by a run of its own. */
export async function textPerplexity(
  decoder: Decoder,
  text: TextToMeasure,
  comparisons: Comparison[],
  settings: { onProgress: ProgressListener; signal?: AbortSignal },
): Promise<PerplexityResult> {
  const known = comparedPerplexity(text, comparisons);
  if (known) return known;
  const onWindow = (done: number, total: number) =>
    settings.onProgress({ stage: 'perplexity', done, total, unit: 'windows', label: text.file });
  return measurePerplexity(decoder, text, onWindow, settings.signal);
}

/** Perplexity of both runs out of their comparison over the windows of a text; null where there is none. */
export function comparedPerplexity(text: TextToMeasure, comparisons: Comparison[]): PerplexityResult | null {
  const compared = comparisons.find(({ set }) => set === TEXT);
  const metric = (id: string) => compared?.metrics.find((each) => each.id === id);
  const [perplexity, ratio] = [metric('perplexity'), metric('perplexity_ratio')];
  if (!compared || !perplexity?.interval) return null;
  return {
    text: text.file,
    windows: compared.sequences,
    windowTokens: text.windowTokens,
    predictions: compared.tokens - compared.sequences,
    value: perplexity.value,
    interval: perplexity.interval,
    reference: ratio ? perplexity.value / ratio.value : null,
  };
}
