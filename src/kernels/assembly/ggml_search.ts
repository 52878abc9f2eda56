// ggml's searches for the scale of a group: twins of schemes/ggml/searches.ts. Four groups stand side by side, one in each
// lane, so that sums run in the order of the values, as ggml's do.
import { transposeFour } from './transpose';

/** Values of a block as float32. */
export const VALUES: usize = memory.data(1024, 16);

/** Value i of four groups in lanes, with their weights, codes of the step at hand as float32. */
const LANES: usize = memory.data(32 * 16, 16);
const WEIGHTS: usize = memory.data(32 * 16, 16);
const TRIAL: usize = memory.data(32 * 16, 16);

export const GROUP_MAX_EPS: f32 = 1e-15;
const TENTH: f32 = 0.1;

/** nearest_int of ggml, with its wrap-around beyond 2^22, within bounds. */
// @ts-ignore: decorator
@inline
export function nearestWithin(x: v128, least: v128, most: v128): v128 {
  const bits = f32x4.add(x, f32x4.splat(12582912));
  const nearest = i32x4.sub(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x00400000));
  return i32x4.min_s(i32x4.max_s(nearest, least), most);
}

// @ts-ignore: decorator
@inline
function at(part: usize, i: usize): v128 {
  return v128.load(part + 16 * i);
}

// ------------------------------------------------------------------ make_qkx2_quants

/** Of four groups: sum of weights, of weighted values, and of the products of a step's codes. */
let sumW: v128 = i32x4.splat(0);
let sumX: v128 = i32x4.splat(0);
let sumL: v128 = i32x4.splat(0);
let sumL2: v128 = i32x4.splat(0);
let sumXL: v128 = i32x4.splat(0);
let least: v128 = i32x4.splat(0);
let most: v128 = i32x4.splat(0);

/** Weights rms + |x|, their sums and the ranges, which include 0 from above. */
function weigh(): void {
  let squares = f32x4.splat(0);
  for (let i: usize = 0; i < 32; i++) squares = f32x4.add(squares, f32x4.mul(at(LANES, i), at(LANES, i)));
  const rms = f32x4.sqrt(f32x4.div(squares, f32x4.splat(32)));
  let low = at(LANES, 0);
  let high = low;
  let weights = f32x4.splat(0);
  let weighted = f32x4.splat(0);
  for (let i: usize = 0; i < 32; i++) {
    const x = at(LANES, i);
    const weight = f32x4.add(rms, f32x4.abs(x));
    v128.store(WEIGHTS + 16 * i, weight);
    low = f32x4.pmin(low, x);
    high = f32x4.pmax(high, x);
    weights = f32x4.add(weights, weight);
    weighted = f32x4.add(weighted, f32x4.mul(weight, x));
  }
  least = v128.andnot(low, f32x4.gt(low, f32x4.splat(0)));
  most = high;
  sumW = weights;
  sumX = weighted;
}

/** Codes of a step to `codes`, with their sums. */
function tryStep(inverse: v128, min: v128, largest: i32, codes: usize): void {
  const top = i32x4.splat(largest);
  let l = f32x4.splat(0);
  let l2 = f32x4.splat(0);
  let xl = f32x4.splat(0);
  for (let i: usize = 0; i < 512; i += 16) {
    const x = v128.load(LANES + i);
    const nearest = nearestWithin(f32x4.mul(inverse, f32x4.sub(x, min)), i32x4.splat(0), top);
    const code = f32x4.convert_i32x4_s(nearest);
    v128.store(codes + i, code);
    const weighted = f32x4.mul(v128.load(WEIGHTS + i), code);
    l = f32x4.add(l, weighted);
    l2 = f32x4.add(l2, f32x4.mul(weighted, code));
    xl = f32x4.add(xl, f32x4.mul(weighted, x));
  }
  sumL = l;
  sumL2 = l2;
  sumXL = xl;
}

/** Weighted squares of what codes leave of the values. */
function errorOf(codes: usize, scale: v128, min: v128): v128 {
  let error = f32x4.splat(0);
  for (let i: usize = 0; i < 512; i += 16) {
    const rest = f32x4.sub(f32x4.add(f32x4.mul(scale, v128.load(codes + i)), min), v128.load(LANES + i));
    error = f32x4.add(error, f32x4.mul(v128.load(WEIGHTS + i), f32x4.mul(rest, rest)));
  }
  return error;
}

/**
 * make_qkx2_quants over the four groups of 32 at `from`, weights rms + |x|. Leaves scales and minima (which are
 * subtracted) as float32, and codes by lanes as float32.
 */
export function searchScalesAndMinima(
  from: usize,
  largest: i32,
  first: f32,
  steps: i32,
  scales: usize,
  minima: usize,
  codes: usize,
): void {
  transposeFour(from, 128, 32, LANES);
  weigh();
  const zero = f32x4.splat(0);
  const isConstant = f32x4.eq(most, least);
  let min = least;
  let inverse = f32x4.div(f32x4.splat(<f32>largest), f32x4.sub(most, min));
  let scale = f32x4.div(f32x4.splat(1), inverse);
  tryStep(inverse, min, largest, codes);
  let leastError = errorOf(codes, scale, min);
  for (let step = 0; step <= steps; step++) {
    // `min` is that of the best step so far, as in the source
    inverse = f32x4.div(f32x4.splat(first + TENTH * <f32>step + <f32>largest), f32x4.sub(most, min));
    tryStep(inverse, min, largest, TRIAL);
    const determinant = f32x4.sub(f32x4.mul(sumW, sumL2), f32x4.mul(sumL, sumL));
    let thisScale = f32x4.div(f32x4.sub(f32x4.mul(sumW, sumXL), f32x4.mul(sumX, sumL)), determinant);
    let thisMin = f32x4.div(f32x4.sub(f32x4.mul(sumL2, sumX), f32x4.mul(sumL, sumXL)), determinant);
    const isAbove = f32x4.gt(thisMin, zero);
    thisMin = v128.andnot(thisMin, isAbove);
    thisScale = v128.bitselect(f32x4.div(sumXL, sumL2), thisScale, isAbove);
    const error = errorOf(TRIAL, thisScale, thisMin);
    const isBetter = v128.and(f32x4.gt(determinant, zero), f32x4.lt(error, leastError));
    if (!v128.any_true(isBetter)) continue;
    for (let i: usize = 0; i < 512; i += 16) {
      v128.store(codes + i, v128.bitselect(v128.load(TRIAL + i), v128.load(codes + i), isBetter));
    }
    leastError = v128.bitselect(error, leastError, isBetter);
    scale = v128.bitselect(thisScale, scale, isBetter);
    min = v128.bitselect(thisMin, min, isBetter);
  }
  for (let i: usize = 0; i < 512; i += 16) v128.store(codes + i, v128.andnot(v128.load(codes + i), isConstant));
  v128.store(scales, v128.andnot(scale, isConstant));
  v128.store(minima, f32x4.neg(v128.bitselect(least, min, isConstant)));
}

// ------------------------------------------------------------------ make_qx_quants

let sumLX: v128 = i32x4.splat(0);

/** Codes of six bits, from -32 on. */
// @ts-ignore: decorator
@inline
export function sixBits(x: v128): v128 {
  return nearestWithin(x, i32x4.splat(-32), i32x4.splat(31));
}

/** Sums of four groups for the codes of a step; WEIGHTS and TRIAL hold x^2 and x^3. */
function sumSixBits(inverse: v128): void {
  let lx = f32x4.splat(0);
  let l2 = f32x4.splat(0);
  for (let i: usize = 0; i < 256; i += 16) {
    const code = f32x4.convert_i32x4_s(sixBits(f32x4.mul(inverse, v128.load(LANES + i))));
    lx = f32x4.add(lx, f32x4.mul(v128.load(TRIAL + i), code));
    l2 = f32x4.add(l2, f32x4.mul(f32x4.mul(v128.load(WEIGHTS + i), code), code));
  }
  sumLX = lx;
  sumL2 = l2;
}

/**
 * make_qx_quants over the four groups of 16 at `from`, weights x^2, codes of six bits. Leaves scales, and what values are
 * multiplied with for their codes: 0 where all codes are the lowest, because the values are next to nothing.
 */
export function searchScales(from: usize, scales: usize, inverses: usize): void {
  transposeFour(from, 64, 16, LANES);
  const zero = f32x4.splat(0);
  let greatest = zero;
  let amax = zero;
  for (let i: usize = 0; i < 16; i++) {
    const x = at(LANES, i);
    const isGreater = f32x4.gt(f32x4.abs(x), amax);
    amax = v128.bitselect(f32x4.abs(x), amax, isGreater);
    greatest = v128.bitselect(x, greatest, isGreater);
    const weight = f32x4.mul(x, x);
    v128.store(WEIGHTS + 16 * i, weight);
    v128.store(TRIAL + 16 * i, f32x4.mul(weight, x));
  }
  let inverse = f32x4.div(f32x4.splat(-32), greatest);
  sumSixBits(inverse);
  let scale = v128.andnot(f32x4.div(sumLX, sumL2), f32x4.eq(sumL2, zero));
  let best = f32x4.mul(scale, sumLX);
  for (let step = -9; step <= 9; step++) {
    if (step == 0) continue;
    const trial = f32x4.div(f32x4.splat(-(<f32>32 + TENTH * <f32>step)), greatest);
    sumSixBits(trial);
    const isBetter = v128.and(
      f32x4.gt(sumL2, zero),
      f32x4.gt(f32x4.mul(sumLX, sumLX), f32x4.mul(best, sumL2)),
    );
    inverse = v128.bitselect(trial, inverse, isBetter);
    scale = v128.bitselect(f32x4.div(sumLX, sumL2), scale, isBetter);
    best = v128.bitselect(f32x4.mul(scale, sumLX), best, isBetter);
  }
  const isNothing = f32x4.lt(amax, f32x4.splat(GROUP_MAX_EPS));
  v128.store(scales, v128.andnot(scale, isNothing));
  v128.store(inverses, v128.andnot(inverse, isNothing));
}
