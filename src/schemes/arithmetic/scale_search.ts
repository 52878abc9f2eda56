import type { QuantizationArgs } from '../../core/scheme.js';
import { type ChooseGrid, type GroupGrid, roundToNearestGrid, storedScale } from './integer_scheme.js';

const f32 = Math.fround;
/** Adding and taking away 1.5 * 2^23 rounds to an integer, halves to even. */
const TO_INTEGER = 12582912;
/** Below it, 1 / anchor comes near the end of float32. */
const SMALLEST_ANCHOR = 2 ** -100;
const LARGEST_FLOAT = 2 ** 127 * (2 - 2 ** -23);

/** What a search does with codes of a width, by what its error is weighted with. */
export interface Search {
  /** Fixed-point value of a group's anchor. */
  one: number;
  /** Lowest bits of a value that its code is chosen without, so that products with multipliers fit into 16. */
  coarse: number;
  /** Bits that a weight loses so that products of codes, weights and values fit; none where errors weigh alike. */
  weightShift: number | undefined;
  /** Over the largest magnitude from 0: of symmetric codes, and of signed ones (scale above 0). */
  symmetric(groupSize: number): Candidates;
  signed: Candidates;
  /** Over the whole range. */
  asymmetric(groupSize: number): Candidates;
}

/** A candidate lays its multiplier, times one / 2^shift, steps over the anchor. */
interface Candidates {
  shift: number;
  multipliers: readonly number[];
}

/** What the codes of a group are laid over, as float32: K = factor, fixed-point value of x = x * factor. */
interface Anchor {
  factor: number;
  /** What one unit of fixed point is worth. */
  unit: number;
  low: number;
  high: number;
}

function anchorOf(values: Float32Array, from: number, count: number, one: number, args: QuantizationArgs): Anchor {
  let low = 0;
  let high = 0;
  for (let i = from; i < from + count; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  const extent = args.symmetric ? Math.max(high, -low) : f32(high - low);
  // unsigned symmetric codes reach one step further below 0: the largest magnitude lies there, the scale has its sign
  const anchor = args.symmetric && !args.signed && high > -low ? -extent : extent;
  const isUsable = extent >= SMALLEST_ANCHOR && extent <= LARGEST_FLOAT;
  return { factor: isUsable ? f32(one / anchor) : 0, unit: f32(anchor / one), low, high };
}

const fixed = (x: number, factor: number): number => f32(f32(x * factor) + TO_INTEGER) - TO_INTEGER;

/** What a candidate comes to: the scale that fits its codes best, in units of fixed point, and what that one is worth. */
interface Candidate {
  scale: number;
  merit: number;
  zeroPoint: number;
}

/**
 * A search over the scale with a least-squares refit. Each candidate scale gives codes q; the scale that fits these best
 * is S = sum(w q x) / sum(w q q), and the candidate with the greatest S sum(w q x), the first of equals, has the least
 * error sum(w (x - S q)^2). The zero point of an asymmetric candidate puts the middle of the range into the middle of the
 * codes. The codes written are those of S as it is stored.
 *
 * Values are searched in fixed point, x * one / anchor rounded to nearest even, so that sums are exact in any order:
 * that is what makes the kernel and this twin equal, and the kernel fast. A group whose anchor is too small or too large
 * for that is rounded to nearest.
 */
export function scaleSearch(searches: Record<4 | 8, Search>): ChooseGrid {
  return (values, from, count, bits, args) => {
    const search = searches[bits as 4 | 8];
    const { factor, unit, low, high } = anchorOf(values, from, count, search.one, args);
    if (factor === 0) return roundToNearestGrid(values, from, count, bits, args);
    const t = Int32Array.from({ length: count }, (_, i) => fixed(values[from + i], factor));
    const middle = fixed(low, factor) + fixed(high, factor);
    const weights = weightsOf(t, search.weightShift);
    const { shift, multipliers } = candidatesOf(search, args);
    // float32 has digits enough for 4-bit codes and not for 8-bit ones: for four groups at a time
    const round = bits === 4 && args.strategy === 'group' ? f32 : (x: number) => x;
    const { scale, zeroPoint } = multipliers
      .map((multiplier): Candidate => {
        const zeroPoint = args.symmetric ? 2 ** (bits - 1) : zeroPointOf(middle * multiplier, shift, bits);
        const { products, squares } = sumsOf(t, weights, codesBy(multiplier, shift, search.coarse), zeroPoint, bits);
        const scale = round(round(products) / round(squares));
        return { scale, merit: round(round(products) * scale), zeroPoint };
      })
      .reduce((best, next) => (next.merit > best.merit ? next : best));
    return gridOf(f32(f32(scale) * unit), zeroPoint, args);
  };
}

/** Rounds values in fixed point to the codes of a candidate, less the zero point and before they are clamped. */
function codesBy(multiplier: number, shift: number, coarse: number): (t: number) => number {
  const step = shift - coarse;
  // half a step, and the middle of what the lowest bits can be
  const bias = 2 ** (step - 1) + (coarse === 0 ? 0 : multiplier >> 1);
  return (t) => ((t >> coarse) * multiplier + bias) >> step;
}

function candidatesOf({ symmetric, signed, asymmetric }: Search, args: QuantizationArgs): Candidates {
  const groupSize = args.strategy === 'group' ? (args.group_size as number) : Number.POSITIVE_INFINITY;
  if (!args.symmetric) return asymmetric(groupSize);
  return args.signed ? signed : symmetric(groupSize);
}

function gridOf(exact: number, zeroPoint: number, args: QuantizationArgs): GroupGrid {
  const scale = storedScale(exact, args);
  return { scale: scale === 0 && args.symmetric && args.signed ? 1 : scale, zeroPoint };
}

/** Weights of a group, |x| + sqrt(mean(x^2)) as k_quant has them, in fixed point; undefined where all are alike. */
function weightsOf(t: Int32Array, shift: number | undefined): Int32Array | undefined {
  if (shift === undefined) return undefined;
  let squares = 0;
  for (const value of t) squares += value * value;
  const mean = Math.floor(Math.sqrt(squares / t.length));
  return t.map((value) => (Math.abs(value) + mean) >> shift);
}

function zeroPointOf(middle: number, shift: number, bits: number): number {
  const top = 2 ** bits - 1;
  return Math.min(Math.max(((top + 1) * 2 ** shift - middle) >> (shift + 1), 0), top);
}

/** Sums over a group's codes q, values t and weights w: of w q t and of w q q. */
function sumsOf(
  t: Int32Array,
  weights: Int32Array | undefined,
  codeOf: (t: number) => number,
  zeroPoint: number,
  bits: number,
): { products: number; squares: number } {
  const highest = 2 ** bits - 1 - zeroPoint;
  let products = 0;
  let squares = 0;
  for (let i = 0; i < t.length; i++) {
    const q = Math.max(-zeroPoint, Math.min(highest, codeOf(t[i])));
    const weighted = weights ? q * weights[i] : q;
    products += weighted * t[i];
    squares += weighted * q;
  }
  return { products, squares };
}

const between = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Steps over the anchor of symmetric and of asymmetric 4-bit codes: few where the default is, for its speed. */
function symmetricSteps(groupSize: number): number[] {
  if (groupSize <= 16 || groupSize > 64) return [56, 60, 63, 66, 69, 72, 75, 79];
  return groupSize <= 32 ? [57, 62, 66, 70] : [57, 61, 64, 67, 70, 73, 76, 80];
}

const asymmetricSteps = (groupSize: number): number[] =>
  groupSize <= 32 ? [57, 59, 61, 63, 65, 67] : [57, 59, 61, 63, 65, 67, 69, 71];

/** `mse`: least squared error. Few candidates, chosen on trained weights: see docs/quantization.md. */
export const leastSquaresGrid = scaleSearch({
  4: {
    one: 2 ** 11,
    coarse: 3,
    weightShift: undefined,
    symmetric: (groupSize) => ({ shift: 14, multipliers: symmetricSteps(groupSize) }),
    signed: { shift: 14, multipliers: [58, 62, 66, 71] },
    asymmetric: (groupSize) => ({ shift: 13, multipliers: asymmetricSteps(groupSize) }),
  },
  8: {
    one: 2 ** 14,
    coarse: 0,
    weightShift: undefined,
    symmetric: () => ({ shift: 15, multipliers: [254, 255, 256, 258] }),
    signed: { shift: 15, multipliers: [253, 254, 255, 256] },
    asymmetric: () => ({ shift: 15, multipliers: [508, 509, 510, 512] }),
  },
});

/**
 * `kquant`: large weights count for more, w = |x| + sqrt(mean(x^2)), and the candidates lie closer: from one step less
 * than the codes have to one step more (ggml's make_qkx2_quants, ONNX Runtime's quant_tensor_k_quant_cpu). Unlike there
 * the zero point is an integer from the start, so that the scale fits the codes that are written.
 */
export const weightedGrid = scaleSearch({
  4: {
    one: 2 ** 11,
    coarse: 3,
    weightShift: 4,
    symmetric: () => ({ shift: 14, multipliers: between(56, 73) }),
    signed: { shift: 14, multipliers: between(52, 69) },
    asymmetric: () => ({ shift: 13, multipliers: between(56, 65) }),
  },
  8: {
    one: 2 ** 14,
    coarse: 0,
    weightShift: 9,
    symmetric: () => ({ shift: 15, multipliers: between(252, 261) }),
    signed: { shift: 15, multipliers: between(252, 261) },
    asymmetric: () => ({ shift: 15, multipliers: between(507, 516) }),
  },
});
