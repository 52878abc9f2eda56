import type { LayerError } from '../../core/verify-report.js';
import { ErrorSums } from '../../metrics/math/error-sums.js';

/** Tokens of the first sequence whose hidden states are compared: 40 MB for a model of 7B. */
export const HIDDEN_TOKENS = 64;

/** Hidden states of the first tokens of the first sequence, by index as in transformers' `hidden_states`. */
export class HiddenStates {
  readonly states: Float32Array[] = [];
  tokens = 0;

  /** Takes the first sequence's part of a hidden state of all sequences, [tokens, width]. */
  keep(index: number, values: Float32Array, width: number, firstLength: number): void {
    this.tokens = Math.min(firstLength, HIDDEN_TOKENS);
    this.states[index] = values.slice(0, this.tokens * width);
  }
}

/** Error of each hidden state; those that one side does not have are left out. */
export function layerErrors(
  reference: readonly (Float32Array | undefined)[],
  actual: readonly (Float32Array | undefined)[],
): LayerError[] {
  return reference.flatMap((expected, index) => {
    const found = actual[index];
    if (!expected || found?.length !== expected.length) return [];
    const sums = new ErrorSums().add(expected, found);
    const last = index === reference.length - 1;
    return [
      {
        index,
        name: index === 0 ? 'embedding' : last ? `layer ${index - 1} and final norm` : `layer ${index - 1}`,
        relativeError: sums.signal === 0 ? 0 : Math.sqrt(sums.noise / sums.signal),
        maxAbsDifference: sums.greatest,
        cosine: sums.cosine,
      },
    ];
  });
}
