import { UsageError } from '../core/errors.js';

/** Token ids of a batch laid end to end: sequences may differ in length, and no padding exists. */
export interface Sequences {
  ids: Int32Array;
  /** Position of each token in its sequence, from 0. */
  positions: Int32Array;
  /** First token of each sequence, and the number of tokens at the end. */
  starts: number[];
}

/** Lays out sequences of ids below `vocabulary`. Throws UsageError that names the id and its place. */
export function layOut(inputIds: ArrayLike<number>[], vocabulary: number): Sequences {
  const starts = [0];
  for (const sequence of inputIds) starts.push(starts[starts.length - 1] + sequence.length);
  const tokens = starts[starts.length - 1];
  const ids = new Int32Array(tokens);
  const positions = new Int32Array(tokens);
  inputIds.forEach((sequence, index) => {
    if (sequence.length === 0) {
      throw new UsageError(`Sequence ${index} has no token ids; needed is at least one.`, 'leave it out.');
    }
    for (let position = 0; position < sequence.length; position++) {
      const id = sequence[position];
      if (!Number.isInteger(id) || id < 0 || id >= vocabulary) {
        throw new UsageError(
          `Token id ${id} at position ${position} of sequence ${index}; the model knows ids 0 to ${vocabulary - 1}.`,
          "use ids of this model's own tokenizer.",
        );
      }
      ids[starts[index] + position] = id;
      positions[starts[index] + position] = position;
    }
  });
  return { ids, positions, starts };
}
