import { InvalidInputError } from '../core/errors.js';

/**
 * A loaded package that turns token ids into logits, whatever its graphs look like. One call at a time: callers await
 * each before the next.
 */
export interface Decoder {
  /** Width of the logits. */
  readonly vocabSize: number;
  /** Positions that a sequence can have. */
  readonly contextLength: number;
  /**
   * Logits [batch, length, vocabSize] of whole sequences of equal length, each from position 0 in one call.
   * Throws InvalidInputError for ids outside the vocabulary or sequences longer than the context.
   */
  logitsOf(batch: readonly (readonly number[])[]): Promise<Float32Array>;
  /** An empty sequence. `capacity` is the length expected of it: less copying, no limit. */
  start(capacity?: number): Sequence;
  /** Frees the sessions and their weights; of a decoder that is closed, nothing. */
  close(): Promise<void>;
}

export interface AppendOptions {
  /** Ids computed in one call, so that the logits of a long prompt need not fit in memory at once; default: all. */
  chunk?: number | undefined;
  /** `all`: logits [ids, vocabSize]; `last`: those of the last id alone, [vocabSize]. Default: all. */
  logits?: 'all' | 'last' | undefined;
  /** Asked before each chunk, so that a long prompt can be interrupted. */
  signal?: AbortSignal | undefined;
}

/** A text in the making: its length and its cache of keys and values. */
export interface Sequence {
  readonly length: number;
  /** Appends ids and returns their logits. Throws InvalidInputError past the context length. */
  append(ids: readonly number[], options?: AppendOptions): Promise<Float32Array>;
  /** Forgets every position from `length` on. */
  truncate(length: number): void;
}

/** Throws InvalidInputError unless every id is in the vocabulary and `past + ids.length` positions are in the context. */
export function checkIds(
  ids: readonly number[],
  past: number,
  limits: { vocabSize: number; contextLength: number },
): void {
  const stranger = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= limits.vocabSize);
  if (stranger !== undefined) {
    throw new InvalidInputError(
      `token id ${stranger} is not in the vocabulary, which has ids 0 to ${limits.vocabSize - 1}.`,
      'use the tokenizer that belongs to this package.',
    );
  }
  if (ids.length === 0) throw new InvalidInputError('no token ids: at least one is needed.');
  if (past + ids.length > limits.contextLength) {
    throw new InvalidInputError(
      `${past + ids.length} tokens do not fit in this package's context of ${limits.contextLength}.`,
      'use a shorter text, or convert with a larger --context-length.',
    );
  }
}
