import { stopIfAsked } from '../../core/interruption.js';
import type { ProgressListener } from '../../core/progress.js';
import type { Comparison, PerplexityResult } from '../../core/verify-report.js';
import perplexity from '../../metrics/perplexity.js';
import type { Decoder } from '../../runtime/decoder.js';
import { TEXT } from '../tokens/choose-sets.js';
import { type TextToMeasure, windowsOf } from '../tokens/text-windows.js';
import { intervalOf } from './logit-comparison.js';

/** Perplexity of a text: as the comparison with the reference measured it on the same windows, else by a run of its own. */
export async function textPerplexity(
  decoder: Decoder,
  text: TextToMeasure,
  comparisons: Comparison[],
  settings: { onProgress: ProgressListener; signal?: AbortSignal | undefined },
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

/** Perplexity over windows of a text that do not overlap, each led by the bos token: exp of the mean -log p. */
export async function measurePerplexity(
  decoder: Decoder,
  text: TextToMeasure,
  onWindow: (done: number, total: number) => void,
  signal?: AbortSignal | undefined,
): Promise<PerplexityResult> {
  const { sequences } = windowsOf(text);
  const losses: number[] = [];
  for (const [index, sequence] of sequences.entries()) {
    stopIfAsked(signal, 'verifying');
    const logits = await decoder.logitsOf([sequence]);
    for (let at = 0; at + 1 < sequence.length; at++) {
      const row = logits.subarray(at * decoder.vocabSize, (at + 1) * decoder.vocabSize);
      losses.push(perplexity.position(row, row, sequence[at + 1]));
    }
    onWindow(index + 1, sequences.length);
  }
  const values = Float64Array.from(losses);
  return {
    text: text.file,
    windows: sequences.length,
    windowTokens: text.windowTokens,
    predictions: values.length,
    value: perplexity.summary(values),
    interval: intervalOf(values, perplexity.summary),
    reference: null,
  };
}
