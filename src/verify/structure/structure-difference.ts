import type { Check } from '../../core/verify-report.js';
import type { RoutingMargin } from '../../reference/call.js';
import { short } from '../verdict/short-number.js';
import { TOLERANCE } from '../verdict/tolerance.js';
import type { Allowance } from './allowance.js';

/**
 * A router's choice that is closer than this falls either way: float32 routers are 1e-6 apart between engines, and
 * activations rounded to 8 bits move a score by a few percent.
 */
const NEAR_TIE = { exact: 1e-5, rounded: 0.05 };

interface Sums {
  rows: number;
  difference: number;
  token: number;
  noise: number;
  signal: number;
}

const nothing = (): Sums => ({ rows: 0, difference: 0, token: 0, noise: 0, signal: 0 });

/**
 * What a package's logits are off those of its own weights in full precision. Tokens from a near-tie of a router on
 * are counted apart: both experts would be right.
 */
export class StructureDifference {
  readonly #decided = nothing();
  readonly #undecided = nothing();
  /** By sequence the first position at which a router was undecided. */
  readonly #ties = new Map<number, number>();

  constructor(readonly allowance: Allowance) {}

  /** Takes a routing decision; `sequence` counts from the begin of the set. */
  decide({ margin, position }: RoutingMargin, sequence: number): void {
    if (margin > (this.allowance.isExact ? NEAR_TIE.exact : NEAR_TIE.rounded)) return;
    this.#ties.set(sequence, Math.min(position, this.#ties.get(sequence) ?? position));
  }

  add(sequence: number, position: number, token: number, expected: Float32Array, actual: Float32Array): void {
    const isDecided = position < (this.#ties.get(sequence) ?? Number.POSITIVE_INFINITY);
    const sums = isDecided ? this.#decided : this.#undecided;
    sums.rows++;
    const { value } = largestDifference(expected, actual, expected.length);
    if (!(value <= sums.difference) && !Number.isNaN(sums.difference)) {
      sums.difference = value;
      sums.token = token;
    }
    for (let i = 0; i < actual.length; i++) {
      sums.noise += (expected[i] - actual[i]) ** 2;
      sums.signal += expected[i] ** 2;
    }
  }

  check(set: string): Check {
    const { isExact, relative, reason } = this.allowance;
    const limit = isExact ? TOLERANCE : relative;
    const measure = ({ rows, difference, noise, signal }: Sums) =>
      rows === 0 ? 0 : isExact ? difference : Math.sqrt(noise / signal);
    const said = (value: number) => (isExact ? `${short(value)}` : `${short(100 * value)} %`);
    const [decided, undecided] = [measure(this.#decided), measure(this.#undecided)];
    const isOff = !(decided <= limit);
    const isTie = !isOff && !(undecided <= limit);
    const { token } = isTie ? this.#undecided : this.#decided;
    const measured = isTie ? undecided : decided;
    const because = isExact ? '' : `: ${reason}`;
    const tie = isTie ? ' All of it comes after a routing decision that was too close to call.' : '';
    return {
      id: `structure ${set}`,
      group: 'structure',
      verdict: isOff ? 'fail' : isTie ? 'ambiguous' : 'pass',
      measured,
      limit,
      unit: isExact ? 'logits' : 'share of the logits',
      where: `position ${token}`,
      message: isExact
        ? `On ${set} the package's logits are ${said(measured)} off what its own weights give in full precision (at most ${TOLERANCE}).${tie}`
        : `On ${set} the error of the logits is ${said(measured)} of what the package's own weights give in full precision (at most ${said(limit)}${because}).${tie}`,
    };
  }
}

/** Greatest absolute difference of two runs' logits [tokens, width] and the row of it; NaN where one is not a number. */
export function largestDifference(
  reference: Float32Array,
  actual: Float32Array,
  width: number,
): { value: number; row: number } {
  if (reference.length !== actual.length) throw new Error(`${reference.length} logits against ${actual.length}`);
  let value = 0;
  let at = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(reference[i] - actual[i]);
    if (difference <= value) continue;
    value = difference;
    at = i;
    if (Number.isNaN(difference)) break;
  }
  return { value, row: Math.floor(at / width) };
}
