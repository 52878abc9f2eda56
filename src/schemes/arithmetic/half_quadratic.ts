import { type ChooseGrid, roundHalfAway, roundToNearestGrid, storedScale } from './integer_scheme.js';

/** First beta, its growth and the most rounds: hqq/core/optimize.py, opt_params. */
const BETA = 10;
const GROWTH = 1.01;
const ROUNDS = 20;

/**
 * |x|^(p - 1) with p = 0.7, that is x^(-3/10), for x > 0: Newton's method for y^-10 = x^3. Math.pow may differ from one
 * engine to the next, and bytes must not.
 */
function shrinkage(x: number): number {
  const cube = x * x * x;
  // x = f * 2^e: 2^(-0.3 e) is within the reach of Newton's steps
  let y = POWERS[exponentOf(x) + 1100];
  for (let step = 0; step < 5; step++) {
    const square = y * y;
    const fourth = square * square;
    y *= 1 + (1 - cube * fourth * fourth * square) / 10;
  }
  return y;
}

const exponents = new DataView(new ArrayBuffer(8));
function exponentOf(x: number): number {
  exponents.setFloat64(0, x);
  return ((exponents.getUint16(0) >> 4) & 0x7ff) - 1023;
}

/** 2^(-0.3 (e + 0.5)) for every exponent e, from 2^(-0.1) by multiplication alone. */
const POWERS = (() => {
  const tenth = 0.9330329915368074;
  const cubed = tenth * tenth * tenth;
  const all = new Float64Array(2200);
  for (let i = 0; i < all.length; i++) {
    // 2^(-0.3 e) = 2^-(3 k) * 2^(-0.3 r), e = 10 k + r
    const e = i - 1100;
    const k = Math.floor(e / 10);
    let y = 0.9012504626108302;
    for (let r = 0; r < e - 10 * k; r++) y *= cubed;
    for (let n = 0; n < Math.abs(k); n++) y *= k > 0 ? 0.125 : 8;
    all[i] = y;
  }
  return all;
})();

/** A grid in steps of the plain one: scale, and zero point as an unsigned code. */
interface StepGrid {
  scale: number;
  zero: number;
}

/** Shrinks a residual: sign(r) max(|r| - |r|^(p-1) / beta, 0). */
function shrunk(rest: number, beta: number): number {
  const magnitude = Math.abs(rest);
  if (magnitude === 0) return 0;
  return Math.sign(rest) * Math.max(0, magnitude - shrinkage(magnitude) / beta);
}

/**
 * `hqq`: half-quadratic quantization, a descent on the sum of |x - (q - z) s|^p with p = 0.7, which lets a few values err
 * much so that most err little (hqq/core/optimize.py, optimize_weights_proximal). From the plain grid on, in turns: codes
 * q; residuals shrunk to e; the grid that fits x - e best, until the sum no longer falls.
 *
 * HQQ keeps the scale and moves a zero point that is a float. The formats here store it as an integer, and rounded it
 * would fall back to where it was. So the scale is fitted as well, by least squares: together with the zero point, then
 * for the rounded zero point; for symmetric grids alone. Residuals are counted in steps of the plain grid.
 */
export const halfQuadraticGrid: ChooseGrid = (values, from, count, bits, args) => {
  const plain = roundToNearestGrid(values, from, count, bits, args);
  const inverse = 1 / plain.scale;
  if (!(Math.abs(inverse) < Number.POSITIVE_INFINITY) || inverse === 0) return plain;
  const x = Float64Array.from({ length: count }, (_, i) => values[from + i] * inverse);
  const q = new Float64Array(count);
  const rest = new Float64Array(count);
  const top = 2 ** bits - 1;
  let grid: StepGrid = { scale: 1, zero: plain.zeroPoint };
  let best = grid;
  let least = Number.POSITIVE_INFINITY;
  let beta = BETA;
  for (let round = 0; round < ROUNDS; round++) {
    let error = 0;
    for (let i = 0; i < count; i++) {
      q[i] = Math.max(0, Math.min(top, roundHalfAway(x[i] / grid.scale + grid.zero)));
      rest[i] = x[i] - (q[i] - grid.zero) * grid.scale;
      const magnitude = Math.abs(rest[i]);
      if (magnitude !== 0) error += magnitude * shrinkage(magnitude);
    }
    if (!(error < least)) break;
    least = error;
    best = grid;
    for (let i = 0; i < count; i++) rest[i] = x[i] - shrunk(rest[i], beta);
    const fitted = fit(q, rest, args.symmetric ? plain.zeroPoint : undefined, top);
    if (!fitted) break;
    grid = fitted;
    beta *= GROWTH;
  }
  const scale = storedScale(Math.fround(best.scale * plain.scale), args);
  if (scale === 0 || best.scale === 1) return { scale: plain.scale, zeroPoint: best.zero };
  return { scale, zeroPoint: best.zero };
};

/** The grid that fits targets best by least squares: with a given zero point, or with the best one, rounded. */
function fit(q: Float64Array, targets: Float64Array, given: number | undefined, top: number): StepGrid | undefined {
  let [codes, squares, sum, products] = [0, 0, 0, 0];
  for (let i = 0; i < q.length; i++) {
    codes += q[i];
    squares += q[i] * q[i];
    sum += targets[i];
    products += q[i] * targets[i];
  }
  const spread = q.length * squares - codes * codes;
  const slope = (q.length * products - codes * sum) / spread;
  const zero = given ?? Math.max(0, Math.min(top, roundHalfAway((codes - sum / slope) / q.length)));
  const scale = (products - zero * sum) / (squares - 2 * zero * codes + q.length * zero * zero);
  return scale > 0 && scale < Number.POSITIVE_INFINITY && Number.isFinite(zero) ? { scale, zero } : undefined;
}
