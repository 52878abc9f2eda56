import type { TensorRef } from '../../core/checkpoint.js';
import { DTYPE_BITS, widen } from '../../core/dtype.js';
import { InvalidInputError } from '../../core/errors.js';
import { readTensor } from '../../formats/safetensors.js';
import { logSumExp } from '../../metrics/math/log-softmax.js';

/** Stored logits, asked for token by token, sequences end to end. */
export interface LogitRows {
  /** Whether only the best logits of each position are stored. */
  isReduced: boolean;
  /** Whether the logits are float32, so that they may be held to float32's rounding. */
  isFloat32: boolean;
  /**
   * Logits [vocabulary] of a token, valid until the next call. What a reduced reference does not keep is filled in
   * from `actual`, the row that it is compared with.
   */
  row(token: number, actual: Float32Array): Float32Array;
  /** By how much the KL divergence of the row asked for last may be larger than it comes out; 0 of whole rows. */
  klBound(): number;
}

/** Values of whole rows read at a time: 8 MiB. */
const BLOCK_VALUES = 2 << 20;

/** Whole rows of a tensor; token t is row `places[t]` of it. */
export function wholeRows(ref: TensorRef, vocabulary: number, places: number[]): LogitRows {
  if (!['F32', 'F16', 'BF16', 'F64'].includes(ref.dtype)) {
    throw new InvalidInputError(
      `${ref.file}: "${ref.name}" is ${ref.dtype}; logits are F32, F16 or BF16.`,
      'make it again.',
    );
  }
  const rowBytes = (vocabulary * DTYPE_BITS[ref.dtype]) / 8;
  const step = Math.max(1, Math.floor(BLOCK_VALUES / vocabulary));
  const total = ref.nbytes / rowBytes;
  let first = -1;
  let block = new Float32Array(0);
  return {
    isReduced: false,
    isFloat32: ref.dtype === 'F32' || ref.dtype === 'F64',
    row(token) {
      const place = places[token];
      if (first < 0 || place < first || (place - first + 1) * vocabulary > block.length) {
        const count = Math.min(step, total - place);
        block = new Float32Array(count * vocabulary);
        widen(
          ref.dtype,
          readTensor({ ...ref, offset: ref.offset + place * rowBytes, nbytes: count * rowBytes }),
          block,
        );
        first = place;
      }
      return block.subarray((place - first) * vocabulary, (place - first + 1) * vocabulary);
    },
    klBound: () => 0,
  };
}

export interface ReducedLogits {
  vocabulary: number;
  /** Best ids and their logits, [tokens, kept]. */
  ids: Int32Array;
  logits: Float32Array;
  /** Log-sum-exp of each token's whole row. */
  logSumExp: Float32Array;
  /** The id that follows each token (-1 where none does) and its logit. */
  targets: { ids: number[]; logits: Float32Array } | null;
}

/**
 * Rows from the best logits of each position and the log-sum-exp. The rest P of the probability is spread as the run
 * that is compared spreads its own rest Q, so that the KL divergence comes out as that of all kept ids and one class
 * for the others: never too large (the log sum inequality), too small by P KL(rest of reference || rest of actual).
 * No token of the rest has more than the least probability kept, so that this is at most what it would be with as many
 * tokens of that probability as make P, at those that the actual run holds for the least likely.
 */
export function reducedRows({ vocabulary, ids, logits, logSumExp: totals, targets }: ReducedLogits): LogitRows {
  const kept = ids.length / totals.length;
  const row = new Float32Array(vocabulary);
  const isKept = new Uint8Array(vocabulary);
  const others = new Float32Array(vocabulary);
  let bound = 0;
  return {
    isReduced: true,
    isFloat32: false,
    row(token, actual) {
      const total = totals[token];
      const own = new Map<number, number>();
      for (let rank = 0; rank < kept; rank++) own.set(ids[token * kept + rank], logits[token * kept + rank]);
      const next = targets?.ids[token] ?? -1;
      if (targets && next >= 0) own.set(next, targets.logits[token]);
      isKept.fill(0);
      let share = 0;
      for (const [id, logit] of own) {
        isKept[id] = 1;
        share += Math.exp(logit - total);
      }
      // Below the rounding of float32 logits nothing is known of the rest.
      const rest = Math.max(1e-9, 1 - share);
      const actualTotal = logSumExp(actual);
      let [actualRest, left] = [0, 0];
      for (let id = 0; id < vocabulary; id++) {
        if (isKept[id]) continue;
        actualRest += Math.exp(actual[id] - actualTotal);
        others[left++] = actual[id] - actualTotal;
      }
      const shift = total + Math.log(rest) - actualTotal - Math.log(actualRest);
      for (let id = 0; id < vocabulary; id++) row[id] = actual[id] + shift;
      for (const [id, logit] of own) row[id] = logit;
      const least = logits[(token + 1) * kept - 1] - total;
      bound =
        left === 0 ? 0 : worstRest(others.subarray(0, left).sort(), rest, least) - rest * Math.log(rest / actualRest);
      return row;
    },
    klBound: () => bound,
  };
}

/** Greatest sum of p log(p / q) with all p at most exp(`least`), together `rest`; log q of the tokens, smallest first. */
function worstRest(logQ: Float32Array, rest: number, least: number): number {
  let [open, sum] = [rest, 0];
  for (let i = 0; i < logQ.length && open > 0; i++) {
    const p = Math.min(open, Math.exp(least));
    sum += p * (Math.log(p) - logQ[i]);
    open -= p;
  }
  return sum;
}
