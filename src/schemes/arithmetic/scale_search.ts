import type { QuantizationArgs } from '../../core/types.js';
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
  /** Bits that a weight loses so that products of codes, weights and values fit; none where errors weigh alike. */
  weightShift: number | undefined;
  /**
   * Steps that a candidate lays over the anchor, times 2^15 / one: over the largest magnitude from 0 for symmetric
   * codes and for signed ones (scale above 0), over the whole range for asymmetric codes.
   */
  symmetric: readonly number[];
  signed: readonly number[];
  asymmetric: readonly number[];
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

/** Sums over a group's codes q, values t and weights w: of w q t and of w q q. */
interface Sums {
  products: number;
  squares: number;
  zeroPoint: number;
}

/**
 * A search over the scale with a least-squares refit. Each candidate scale gives codes q; the scale that fits these best
 * is S = sum(w q x) / sum(w q q), and the candidate with the greatest sum(w q x)^2 / sum(w q q), the first of equals, has
 * the least error sum(w (x - S q)^2). The zero point of an asymmetric candidate puts the middle of the range into the
 * middle of the codes. The codes written are those of S as it is stored.
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
    const steps = args.symmetric ? (args.signed ? search.signed : search.symmetric) : search.asymmetric;
    const isInFloat32 = bits === 4 && args.strategy === 'group';
    const { products, squares, zeroPoint } = steps
      .map((each) => sumsOf(t, weights, each, args.symmetric ? 2 ** (bits - 1) : zeroPointOf(middle, each, bits), bits))
      .map((sums) => (isInFloat32 ? inFloat32(sums) : sums))
      .reduce(isInFloat32 ? betterInFloat32 : better);
    return gridOf(f32(f32(products / squares) * unit), zeroPoint, args);
  };
}

/** Of two candidates the one that takes more off the error, p^2 / s; of equals the first. */
function better(best: Sums, next: Sums): Sums {
  const most = best.products * best.products;
  return next.products * next.products * best.squares > most * next.squares ? next : best;
}

const inFloat32 = ({ products, squares, zeroPoint }: Sums): Sums => ({
  products: f32(products),
  squares: f32(squares),
  zeroPoint,
});

/** The same in float32, which has digits enough for 4-bit codes and not for 8-bit ones: for four groups at a time. */
function betterInFloat32(best: Sums, next: Sums): Sums {
  const most = f32(best.products * best.products);
  const square = f32(next.products * next.products);
  return f32(square * best.squares) > f32(most * next.squares) ? next : best;
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

function zeroPointOf(middle: number, steps: number, bits: number): number {
  const top = 2 ** bits - 1;
  return Math.min(Math.max((top * 2 ** 15 - middle * steps + 2 ** 15) >> 16, 0), top);
}

function sumsOf(t: Int32Array, weights: Int32Array | undefined, steps: number, zeroPoint: number, bits: number): Sums {
  const highest = 2 ** bits - 1 - zeroPoint;
  let products = 0;
  let squares = 0;
  for (let i = 0; i < t.length; i++) {
    const q = Math.max(-zeroPoint, Math.min(highest, (t[i] * steps + 2 ** 14) >> 15));
    const weighted = weights ? q * weights[i] : q;
    products += weighted * t[i];
    squares += weighted * q;
  }
  return { products, squares, zeroPoint };
}

const between = (from: number, to: number, step: number): number[] =>
  Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step);

/** `mse`: least squared error. Few candidates, chosen on trained weights: see docs/quantization.md. */
export const leastSquaresGrid = scaleSearch({
  4: {
    one: 2 ** 11,
    weightShift: undefined,
    symmetric: [114, 124, 130, 136, 142, 150],
    signed: [116, 124, 132, 142],
    asymmetric: [228, 242, 252, 264],
  },
  8: {
    one: 2 ** 14,
    weightShift: undefined,
    symmetric: [254, 255, 256, 258],
    signed: [253, 254, 255, 256],
    asymmetric: [508, 509, 510, 512],
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
    weightShift: 4,
    symmetric: between(112, 146, 2),
    signed: between(104, 138, 2),
    asymmetric: between(224, 258, 2),
  },
  8: {
    one: 2 ** 14,
    weightShift: 9,
    symmetric: between(252, 261, 1),
    signed: between(252, 261, 1),
    asymmetric: between(507, 516, 1),
  },
});
