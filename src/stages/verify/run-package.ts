import { InterruptedError } from '../../core/errors.js';
import type { DecodeResult, GreedyResult, PerplexityResult } from '../../core/verify-report.js';
import { greatest } from '../../metrics/math/ranking.js';
import { textWindows } from '../../metrics/math/windows.js';
import perplexity from '../../metrics/perplexity.js';
import { continueText } from '../../runtime/continue-text.js';
import type { Decoder } from '../../runtime/decoder.js';
import { intervalOf } from './logit-comparison.js';

/** Positions that are decoded token by token: past every window of the fixtures, seconds for a model of 0.5B. */
export const DECODED_TOKENS = 256;
/** Logits of the prefill that decoding is held to: 64 MB, 110 tokens of a vocabulary of 150,000. */
export const DECODED_VALUES = 16 << 20;

/**
 * One prefill against the same ids through the cache: a token at a time, and in chunks of 7, which end inside windows
 * and blocks. The worse of the two. `size` is the root mean square of the logits.
 */
export async function compareDecode(
  decoder: Decoder,
  set: string,
  ids: readonly number[],
  signal?: AbortSignal,
): Promise<DecodeResult & { size: number }> {
  const sequence = ids.slice(0, Math.min(DECODED_TOKENS, Math.max(32, Math.floor(DECODED_VALUES / decoder.vocabSize))));
  const prefill = await decoder.logitsOf([sequence]);
  const size = Math.sqrt(prefill.reduce((sum, each) => sum + each * each, 0) / prefill.length);
  const result = { set, tokens: sequence.length, maxAbsDifference: 0, position: 0, size };
  for (const chunk of [1, 7]) {
    const text = decoder.start(sequence.length);
    for (let from = 0; from < sequence.length; from += chunk) {
      if (signal?.aborted) throw new InterruptedError('Interrupted while verifying.');
      const logits = await text.append(sequence.slice(from, from + chunk));
      for (let i = 0; i < logits.length; i++) {
        const difference = Math.abs(logits[i] - prefill[from * decoder.vocabSize + i]);
        if (difference <= result.maxAbsDifference) continue;
        result.maxAbsDifference = difference;
        result.position = from + Math.floor(i / decoder.vocabSize);
        if (Number.isNaN(difference)) return result;
      }
    }
  }
  return result;
}

/** Continues a prompt greedily, past any end-of-text id, and compares with the tokens expected. */
export async function compareGreedy(
  decoder: Decoder,
  { prompt, generated }: { prompt: number[]; generated: number[] },
  signal?: AbortSignal,
): Promise<GreedyResult> {
  const gaps: number[] = [];
  const { ids } = await continueText(decoder, prompt, {
    sampler: (logits) => {
      const [first, second] = greatest(logits, 2);
      gaps.push(second === undefined ? Number.POSITIVE_INFINITY : logits[first] - logits[second]);
      return first ?? 0;
    },
    maxNewTokens: generated.length,
    stopIds: [],
    signal,
  });
  const at = generated.findIndex((id, index) => ids[index] !== id);
  return {
    tokens: generated.length,
    equalTokens: at < 0 ? generated.length : at,
    firstDivergence: at < 0 ? null : at,
    expected: generated,
    actual: ids,
    gap: at < 0 ? null : (gaps[at] ?? null),
  };
}

export interface TextToMeasure {
  file: string;
  ids: readonly number[];
  /** Put before each window; undefined where the model has no such token. */
  leading: number | undefined;
  windowTokens: number;
  windows: number;
}

/** Perplexity over windows of a text that do not overlap, each led by the bos token: exp of the mean -log p. */
export async function measurePerplexity(
  decoder: Decoder,
  text: TextToMeasure,
  onWindow: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<PerplexityResult> {
  const { sequences } = windowsOf(text);
  const losses: number[] = [];
  for (const [index, sequence] of sequences.entries()) {
    if (signal?.aborted) throw new InterruptedError('Interrupted while verifying.');
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

export const windowsOf = ({ ids, leading, windowTokens, windows }: TextToMeasure) =>
  textWindows(ids, { length: windowTokens, leading, count: windows });
