import { stopIfAsked } from '../../core/interruption.js';
import type { Package } from '../../formats/package-reader.js';
import type { Decoder } from '../../runtime/decoder.js';

/** Tokens that a package computes at once: activations of a batch grow with it. */
const BATCH_TOKENS = 512;

/**
 * Prefill logits of sequences laid end to end, [tokens, vocabulary]. Neighbours of equal length run as one batch, so
 * that a batch dimension is exercised; a pipeline runs them one by one.
 */
export async function packageLogits(
  opened: Package,
  decoder: Decoder,
  sequences: number[][],
  signal?: AbortSignal | undefined,
): Promise<Float32Array> {
  const { vocabSize } = decoder;
  const tokens = sequences.reduce((sum, each) => sum + each.length, 0);
  let all: Float32Array | undefined;
  const isPipeline = opened.genai.model.type === 'decoder-pipeline';
  let at = 0;
  for (let from = 0; from < sequences.length; ) {
    stopIfAsked(signal, 'verifying');
    const { length } = sequences[from];
    const most = isPipeline ? 1 : Math.max(1, Math.floor(BATCH_TOKENS / length));
    let count = 1;
    while (count < most && sequences[from + count]?.length === length) count++;
    const logits = await decoder.logitsOf(sequences.slice(from, from + count));
    if (count === sequences.length) return logits;
    all ??= new Float32Array(tokens * vocabSize);
    all.set(logits, at);
    at += logits.length;
    from += count;
  }
  return all ?? new Float32Array(0);
}
