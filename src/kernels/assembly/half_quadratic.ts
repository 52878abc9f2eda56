// Algorithm `hqq` of four groups or rows side by side, one in each lane: twin of
// schemes/arithmetic/half_quadratic.ts, which says what is computed and why.
import { asymmetric, bits } from './integer_grids';

const GROWTH: f32 = 1.01;
const ROUNDS: i32 = 20;
export const PIECE: usize = 256;
const SMALLEST: f32 = 9.5367431640625e-7;
const ESTIMATE: f32 = 13796571;
const DECLINE: f32 = 0.001171875;

/** A piece of each: value i of all four, then value i + 1. */
export const LANES: usize = memory.data(4 * 256 * 4, 16);
/** Sums of a round: |r|^p, d, d d, u, d u. */
const SUMS: usize = memory.data(5 * 16, 16);

/** Of each: what takes values to steps of the plain grid, grids in such steps, and how far it is. */
let inverse: v128 = i32x4.splat(0);
let scale: v128 = i32x4.splat(0);
let zero: v128 = i32x4.splat(0);
export let bestScale: v128 = i32x4.splat(0);
export let bestZero: v128 = i32x4.splat(0);
let least: v128 = i32x4.splat(0);
let share: v128 = i32x4.splat(0);
let rounds: v128 = i32x4.splat(0);
/** Those that have not ended. */
export let isDescending: v128 = i32x4.splat(0);

// @ts-ignore: decorator
@inline
function product(x: v128, y: v128): v128 {
  return f32x4.mul(x, y);
}

// @ts-ignore: decorator
@inline
function slopeOf(x: v128): v128 {
  const tenths = product(f32x4.splat(DECLINE), f32x4.convert_i32x4_s(x));
  const y = i32x4.shl(f32x4.sub(f32x4.splat(ESTIMATE), tenths), 8);
  const square = product(y, y);
  const fourth = product(square, square);
  const rest = product(product(product(product(x, x), x), square), product(fourth, fourth));
  const upper = f32x4.add(product(f32x4.splat(-0.035336822271347046), rest), f32x4.splat(0.16408266127109528));
  const lower = f32x4.add(product(f32x4.splat(-0.32241350412368774), rest), f32x4.splat(1.19362473487854));
  return product(y, f32x4.add(product(upper, product(rest, rest)), lower));
}

// @ts-ignore: decorator
@inline
function nearestWithin(x: v128, lowest: v128, highest: v128): v128 {
  return f32x4.nearest(f32x4.pmin(highest, f32x4.pmax(lowest, x)));
}

// @ts-ignore: decorator
@inline
function highestCode(): v128 {
  return f32x4.sub(f32x4.splat(<f32>((1 << bits) - 1)), zero);
}

// @ts-ignore: decorator
@inline
function addTo(index: usize, sum: v128): void {
  const at = SUMS + 16 * index;
  v128.store(at, f32x4.add(v128.load(at), sum));
}

/** Readies those of `mask` to descend from their plain grids; a scale whose inverse is 0 or infinite stays. */
export function startDescent(mask: v128, plain: v128, zeroPoints: v128): void {
  const exact = v128.andnot(f32x4.div(f32x4.splat(1), plain), f32x4.eq(plain, f32x4.splat(0)));
  inverse = v128.bitselect(exact, inverse, mask);
  const magnitude = f32x4.abs(inverse);
  const isUsable = v128.and(f32x4.gt(magnitude, f32x4.splat(0)), f32x4.le(magnitude, f32x4.splat(f32.MAX_VALUE)));
  isDescending = v128.bitselect(isUsable, isDescending, mask);
  scale = v128.bitselect(f32x4.splat(1), scale, mask);
  zero = v128.bitselect(zeroPoints, zero, mask);
  bestScale = v128.bitselect(scale, bestScale, mask);
  bestZero = v128.bitselect(zero, bestZero, mask);
  least = v128.bitselect(f32x4.splat(Infinity), least, mask);
  share = v128.bitselect(f32x4.splat(<f32>1 / <f32>10), share, mask);
  rounds = v128.andnot(rounds, mask);
  memory.fill(SUMS, 0, 80);
}

/** Takes `count` values of each, which stand in LANES, into the sums of the round. */
export function addPiece(count: usize): void {
  const steps = f32x4.div(f32x4.splat(1), scale);
  const lowest = f32x4.neg(zero);
  const highest = highestCode();
  const shares = share;
  let error = f32x4.splat(0);
  let codes = f32x4.splat(0);
  let squares = f32x4.splat(0);
  let kept = f32x4.splat(0);
  let products = f32x4.splat(0);
  for (let at = LANES; at < LANES + 16 * count; at += 16) {
    const x = product(v128.load(at), inverse);
    const code = nearestWithin(product(x, steps), lowest, highest);
    const rest = f32x4.sub(x, product(code, scale));
    const magnitude = f32x4.abs(rest);
    const slope = slopeOf(f32x4.pmax(f32x4.splat(SMALLEST), magnitude));
    const smaller = f32x4.pmin(magnitude, product(slope, shares));
    const signed = v128.or(smaller, v128.and(rest, i32x4.splat(i32.MIN_VALUE)));
    error = f32x4.add(error, product(magnitude, slope));
    codes = f32x4.add(codes, code);
    squares = f32x4.add(squares, product(code, code));
    kept = f32x4.add(kept, signed);
    products = f32x4.add(products, product(code, signed));
  }
  addTo(0, error);
  addTo(1, codes);
  addTo(2, squares);
  addTo(3, kept);
  addTo(4, products);
}

/** Grids refitted to the sums, as `scale` and `zero` of those that still descend; which of them have one. */
function refit(counts: v128): v128 {
  const codes = v128.load(SUMS, 16);
  const squares = v128.load(SUMS, 32);
  const kept = v128.load(SUMS, 48);
  const products = v128.load(SUMS, 64);
  let shift = f32x4.splat(0);
  let isFitted = i32x4.splat(-1);
  if (asymmetric) {
    const spread = f32x4.sub(product(counts, squares), product(codes, codes));
    isFitted = f32x4.gt(spread, f32x4.splat(0));
    const rise = f32x4.sub(product(counts, products), product(codes, kept));
    const slope = f32x4.add(scale, f32x4.div(rise, spread));
    const offset = f32x4.div(f32x4.add(product(scale, codes), kept), slope);
    shift = nearestWithin(f32x4.div(f32x4.sub(codes, offset), counts), f32x4.neg(zero), highestCode());
  }
  const targets = f32x4.add(
    product(scale, f32x4.sub(squares, product(shift, codes))),
    f32x4.sub(products, product(shift, kept)),
  );
  const square = f32x4.add(
    f32x4.sub(squares, product(product(f32x4.splat(2), shift), codes)),
    product(counts, product(shift, shift)),
  );
  const fitted = f32x4.div(targets, square);
  isFitted = v128.and(isFitted, f32x4.gt(fitted, f32x4.splat(SMALLEST)));
  isFitted = v128.and(isFitted, f32x4.le(fitted, f32x4.splat(f32.MAX_VALUE)));
  const isMoved = v128.and(isFitted, isDescending);
  scale = v128.bitselect(fitted, scale, isMoved);
  zero = v128.bitselect(f32x4.add(zero, shift), zero, isMoved);
  return isFitted;
}

/** Ends a round over `counts` values (as float32) of each. */
export function endRound(counts: v128): void {
  const error = v128.load(SUMS);
  isDescending = v128.and(isDescending, f32x4.lt(error, least));
  least = v128.bitselect(error, least, isDescending);
  bestScale = v128.bitselect(scale, bestScale, isDescending);
  bestZero = v128.bitselect(zero, bestZero, isDescending);
  isDescending = v128.and(isDescending, refit(counts));
  share = f32x4.div(share, f32x4.splat(GROWTH));
  rounds = i32x4.add(rounds, i32x4.splat(1));
  isDescending = v128.and(isDescending, i32x4.lt_s(rounds, i32x4.splat(ROUNDS)));
  memory.fill(SUMS, 0, 80);
}
