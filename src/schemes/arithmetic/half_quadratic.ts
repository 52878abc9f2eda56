import { bitsOf, floatOf } from '../../core/dtype.js';
import type { QuantizationArgs } from '../../core/scheme.js';
import { type ChooseGrid, reciprocal, roundToNearestGrid, storedScale } from './integer_scheme.js';

const f32 = Math.fround;
/** First beta, its growth and the most rounds: hqq/core/optimize.py, opt_params. */
const BETA = 10;
const GROWTH = f32(1.01);
const ROUNDS = 20;
/** Values that are summed up by themselves, before their sums are added to those before. */
const PIECE = 256;
const LARGEST_FLOAT = 2 ** 127 * (2 - 2 ** -23);
/** Adding and taking away 1.5 * 2^23 rounds to an integer, halves to even. */
const TO_INTEGER = 12582912;

/** Steps below it, and residuals where their slope is taken, are next to nothing. */
const SMALLEST = 2 ** -20;
/** 2^23 + (1.3 * 127 * 2^23 - 520000) / 2^8, and 0.3 / 2^8; 520000 halves the greatest error of the estimate. */
const ESTIMATE = 13796571;
const DECLINE = f32(0.3 / 256);
/** r^-0.1 for 0.71 <= r <= 1.41, to 5e-5. */
const TENTH_ROOT = Float32Array.of(1.19362473487854, -0.32241350412368774, 0.16408266127109528, -0.035336822271347046);

/**
 * |x|^(p - 1) with p = 0.7, that is x^-0.3, to a relative error of 6e-5 for 2^-20 <= x < 2^20. Bits of a float are
 * nearly its logarithm: so many tenths of them taken away from a constant give y to within 3.5 %, and y (x^3 y^10)^-0.1
 * is what it should have been. Math.pow may differ from one engine to the next, and bytes must not.
 */
export function slopeOf(x: number): number {
  const y = floatOf(bitsOf(f32(ESTIMATE - f32(DECLINE * f32(bitsOf(x))))) << 8);
  const square = f32(y * y);
  const fourth = f32(square * square);
  const rest = f32(f32(f32(f32(x * x) * x) * square) * f32(fourth * fourth));
  const [a, b, c, d] = TENTH_ROOT;
  const root = f32(f32(f32(f32(d * rest) + c) * f32(rest * rest)) + f32(f32(b * rest) + a));
  return f32(y * root);
}

/** A grid in steps of the plain one: scale, and zero point as an unsigned code. */
interface StepGrid {
  scale: number;
  zero: number;
}

/** Sums over the values of a group on a grid. */
interface Sums {
  /** Of |r|^p, r being a residual. */
  error: number;
  /** Of the codes d, less the zero point, and of d d. */
  codes: number;
  squares: number;
  /** Of the residuals less what they are shrunk to, u, and of d u. */
  kept: number;
  products: number;
}

/** The integer nearest to x within integer bounds, halves to even; the least for what is not a number. */
const nearestWithin = (x: number, least: number, most: number): number =>
  f32((x > least ? Math.min(x, most) : least) + TO_INTEGER) - TO_INTEGER;

/** One round over a group: `share` is 1 / beta. A residual r shrinks by min(|r|, |r|^(p-1) / beta) towards 0. */
function sumsOf(
  values: Float32Array,
  from: number,
  count: number,
  inverse: number,
  { scale, zero }: StepGrid,
  top: number,
  share: number,
): Sums {
  const total: Sums = { error: 0, codes: 0, squares: 0, kept: 0, products: 0 };
  const steps = f32(1 / scale);
  for (let start = from; start < from + count; start += PIECE) {
    const end = Math.min(start + PIECE, from + count);
    let [error, codes, squares, kept, products] = [0, 0, 0, 0, 0];
    for (let i = start; i < end; i++) {
      const x = f32(values[i] * inverse);
      const code = nearestWithin(f32(x * steps), -zero, top - zero);
      const rest = f32(x - f32(code * scale));
      const magnitude = Math.abs(rest);
      const slope = slopeOf(Math.max(magnitude, SMALLEST));
      const least = Math.min(magnitude, f32(slope * share));
      const signed = rest < 0 ? -least : least;
      error = f32(error + f32(magnitude * slope));
      codes += code;
      squares += code * code;
      kept = f32(kept + signed);
      products = f32(products + f32(code * signed));
    }
    total.error = f32(total.error + error);
    total.codes = f32(total.codes + codes);
    total.squares = f32(total.squares + squares);
    total.kept = f32(total.kept + kept);
    total.products = f32(total.products + products);
  }
  return total;
}

/**
 * The grid that fits the targets s d + u best by least squares, codes staying what they are: for the same zero point if
 * `top` is 0, otherwise for the best one, rounded. Undefined where there is none.
 */
function refit({ codes, squares, kept, products }: Sums, { scale, zero }: StepGrid, count: number, top: number) {
  let shift = 0;
  if (top !== 0) {
    const spread = f32(f32(count * squares) - f32(codes * codes));
    if (!(spread > 0)) return undefined;
    const slope = f32(scale + f32(f32(f32(count * products) - f32(codes * kept)) / spread));
    const offset = f32(f32(f32(scale * codes) + kept) / slope);
    shift = nearestWithin(f32(f32(codes - offset) / count), -zero, top - zero);
  }
  const targets = f32(f32(scale * f32(squares - f32(shift * codes))) + f32(products - f32(shift * kept)));
  const square = f32(f32(squares - f32(f32(2 * shift) * codes)) + f32(count * f32(shift * shift)));
  const fitted = f32(targets / square);
  return fitted > SMALLEST && fitted <= LARGEST_FLOAT ? { scale: fitted, zero: zero + shift } : undefined;
}

/**
 * `hqq`: half-quadratic quantization, a descent on the sum of |x - (q - z) s|^p with p = 0.7, which lets a few values err
 * much so that most err little (hqq/core/optimize.py, optimize_weights_proximal). From the plain grid on, in turns: codes
 * q; residuals shrunk to e; the grid that fits x - e best, until the sum no longer falls.
 *
 * HQQ keeps the scale and moves a zero point that is a float. The formats here store it as an integer, and rounded it
 * would fall back to where it was. So the scale is fitted as well, by least squares: together with the zero point, then
 * for the rounded zero point; for symmetric grids alone. Residuals are counted in steps of the plain grid.
 *
 * Everything in float32, sums in the order of the values: the kernel takes four groups, or rows, side by side.
 */
export const halfQuadraticGrid: ChooseGrid = (values, from, count, bits, args) => {
  const plain = roundToNearestGrid(values, from, count, bits, args);
  const inverse = reciprocal(plain.scale);
  if (inverse === 0 || Math.abs(inverse) > LARGEST_FLOAT) return plain;
  const top = 2 ** bits - 1;
  let grid: StepGrid | undefined = { scale: 1, zero: plain.zeroPoint };
  let best = grid;
  let least = Number.POSITIVE_INFINITY;
  let share = f32(1 / BETA);
  for (let round = 0; round < ROUNDS && grid; round++) {
    const sums = sumsOf(values, from, count, inverse, grid, top, share);
    if (!(sums.error < least)) break;
    least = sums.error;
    best = grid;
    grid = refit(sums, grid, count, args.symmetric ? 0 : top);
    share = f32(share / GROWTH);
  }
  return storedGrid(best, plain, args);
};

/** A grid in steps as it is stored; the plain one where its scale is beyond the type's range. */
function storedGrid({ scale, zero }: StepGrid, plain: ReturnType<ChooseGrid>, args: QuantizationArgs) {
  const stored = storedScale(f32(scale * plain.scale), args);
  return stored === 0 || !Number.isFinite(stored) ? plain : { scale: stored, zeroPoint: zero };
}
