import { stopIfAsked } from '../../core/interruption.js';
import type { DecodeResult } from '../../core/verify-report.js';
import type { Decoder } from '../../runtime/decoder.js';

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
  signal?: AbortSignal | undefined,
): Promise<DecodeResult & { size: number }> {
  const sequence = ids.slice(0, Math.min(DECODED_TOKENS, Math.max(32, Math.floor(DECODED_VALUES / decoder.vocabSize))));
  const prefill = await decoder.logitsOf([sequence]);
  const size = Math.sqrt(prefill.reduce((sum, each) => sum + each * each, 0) / prefill.length);
  const result = { set, tokens: sequence.length, maxAbsDifference: 0, position: 0, size };
  for (const chunk of [1, 7]) {
    const text = decoder.start(sequence.length);
    for (let from = 0; from < sequence.length; from += chunk) {
      stopIfAsked(signal, 'verifying');
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
