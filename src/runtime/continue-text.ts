import { InterruptedError } from '../core/errors.js';
import type { Decoder } from './decoder.js';
import type { Sampler } from './sampler.js';

/** Why a text ended: an end-of-text id, the number of tokens asked for, or the end of the package's context. */
export type StopReason = 'eos' | 'length' | 'context';

export interface ContinueOptions {
  sampler: Sampler;
  maxNewTokens: number;
  /** Ids after which the text is over. */
  stopIds: readonly number[];
  /** Told of each new id as it is chosen, the stop id included. */
  onToken?: ((id: number) => void | Promise<void>) | undefined;
  signal?: AbortSignal | undefined;
}

/** Prompt ids computed in one call: 128 x 152k float32 logits are 78 MB, and longer chunks were hardly faster. */
export const PROMPT_CHUNK = 128;

/**
 * Continues a prompt token by token and returns the new ids, the stop id included. The prompt must be shorter than the
 * context. Throws InterruptedError as soon as the call under way is over.
 */
export async function continueText(
  decoder: Decoder,
  prompt: readonly number[],
  options: ContinueOptions,
): Promise<{ ids: number[]; stopReason: StopReason }> {
  const longest = Math.min(decoder.contextLength, prompt.length + options.maxNewTokens);
  const sequence = decoder.start(longest);
  const text = [...prompt];
  let logits = await sequence.append(prompt, { chunk: PROMPT_CHUNK, logits: 'last', signal: options.signal });
  for (;;) {
    if (options.signal?.aborted) throw new InterruptedError('Interrupted while generating.');
    const id = options.sampler(logits, text);
    text.push(id);
    await options.onToken?.(id);
    if (options.stopIds.includes(id)) return { ids: text.slice(prompt.length), stopReason: 'eos' };
    if (text.length >= longest) {
      const stopReason = text.length - prompt.length >= options.maxNewTokens ? 'length' : 'context';
      return { ids: text.slice(prompt.length), stopReason };
    }
    logits = await sequence.append([id], { logits: 'last' });
  }
}
