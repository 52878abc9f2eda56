/** Sequences over which a perplexity is measured, and what follows each of their positions. */
export interface TextWindows {
  sequences: number[][];
  /** The id after each position of all sequences laid end to end; -1 at the end of each. */
  targets: Int32Array;
}

export interface WindowOptions {
  /** Tokens of a window, the leading one included. */
  length: number;
  /** Put before every window's text (bos); without it a window is text alone and its first token isn't predicted. */
  leading?: number | undefined;
  /** At most so many windows, from the start of the text. */
  count?: number | undefined;
}

/** Cuts ids into windows that don't overlap, in their order; an incomplete last one is dropped. */
export function textWindows(ids: ArrayLike<number>, { length, leading, count = Infinity }: WindowOptions): TextWindows {
  const lead = leading === undefined ? [] : [leading];
  const step = length - lead.length;
  if (step < 1 || length < 2) throw new Error(`a window of ${length} tokens predicts nothing`);
  const sequences: number[][] = [];
  for (let from = 0; from + step <= ids.length && sequences.length < count; from += step) {
    sequences.push([...lead, ...Array.from({ length: step }, (_, index) => ids[from + index])]);
  }
  return { sequences, targets: nextIds(sequences) };
}

/** The id after each position of the sequences laid end to end; -1 at the end of each. */
export function nextIds(sequences: ArrayLike<number>[]): Int32Array {
  return Int32Array.from(
    sequences.flatMap((ids) => Array.from(ids, (_, at) => (at + 1 < ids.length ? ids[at + 1] : -1))),
  );
}
