// Sums of the candidates of a search over scales, and the best of them. Twin: schemes/arithmetic/scale_search.ts.
import { asymmetric, bits, storeGrids } from './integer_grids';
import { candidates, COARSE, MULTIPLIERS, stepShift, stepsOf } from './search_settings';
import { doubled, FACTORS, FIXED, MIDDLES, UNITS, WEIGHTS } from './search_fixed';

/** Zero points of each candidate for four groups, i32. */
const ZERO_POINTS: usize = memory.data(18 * 16, 16);
/** What rounding to codes takes of each candidate, i16 for each value: see `fourBitCodes` and `eightBitCodes`. */
const LOWS: usize = memory.data(18 * 16, 16);
const HIGHS: usize = memory.data(18 * 16, 16);
/** Sums of each candidate for four groups: i32 of one piece, float64 of all. */
const PIECE_PRODUCTS: usize = memory.data(18 * 16, 16);
const PIECE_SQUARES: usize = memory.data(18 * 16, 16);
const PRODUCTS: usize = memory.data(18 * 32, 16);
const SQUARES: usize = memory.data(18 * 32, 16);

/** Zero points of every candidate for four groups: where the middle of the range comes into that of the codes. */
export function placeZeroPoints(slot: usize): void {
  const top: i32 = (1 << bits) - 1;
  const middle = v128.load(MIDDLES + slot * 4);
  let zeroPoint = i32x4.splat(1 << (bits - 1));
  for (let c: usize = 0; c < candidates; c++) {
    if (asymmetric) {
      const product = i32x4.mul(middle, i32x4.splat(stepsOf(c)));
      const exact = i32x4.shr_s(i32x4.sub(i32x4.splat((top + 1) << stepShift), product), stepShift + 1);
      zeroPoint = i32x4.min_s(i32x4.max_s(exact, i32x4.splat(0)), i32x4.splat(top));
    }
    v128.store(ZERO_POINTS + 16 * c, zeroPoint);
    if (bits == 4) {
      const offset = i32x4.sub(zeroPoint, i32x4.splat(8));
      // half a step, and the middle of what the lowest bits can be
      const half: i32 = 2048 + ((stepsOf(c) >> 1) << (asymmetric ? 2 : 1));
      v128.store(LOWS + 16 * c, doubled(i32x4.add(i32x4.shl(offset, 12), i32x4.splat(half))));
      v128.store(HIGHS + 16 * c, doubled(offset));
    } else {
      v128.store(LOWS + 16 * c, doubled(i32x4.neg(zeroPoint)));
      v128.store(HIGHS + 16 * c, doubled(i32x4.sub(i32x4.splat(top), zeroPoint)));
    }
  }
}

// How values become codes less the zero point: the kinds of `codesOf`.
const SYMMETRIC_4: i32 = 0;
const ASYMMETRIC_4: i32 = 1;
const ANY_8: i32 = 2;

/**
 * Codes of eight values. Of 4 bits: a step is 4096, so that i16 ends where the codes do and saturating is clamping, the
 * zero point being moved to the middle for it; products that would not fit are doubled by saturating sums. `low` is a
 * half step more than the move. Of 8 bits: `low` and `high` are the ends of the codes.
 */
// @ts-ignore: decorator
@inline
function codesOf(kind: i32, t: v128, multiplier: v128, low: v128, high: v128): v128 {
  if (kind == ANY_8) return i16x8.min_s(i16x8.max_s(i16x8.q15mulr_sat_s(t, multiplier), low), high);
  const half = i16x8.mul(i16x8.shr_s(t, COARSE), multiplier);
  if (kind == SYMMETRIC_4) return i16x8.shr_s(i16x8.add_sat_s(i16x8.add(half, low), half), 12);
  const product = i16x8.add_sat_s(half, half);
  return i16x8.sub(i16x8.shr_s(i16x8.add_sat_s(i16x8.add_sat_s(product, low), product), 12), high);
}

/** Sums of candidates c and c + 1 over `vectors` vectors of FIXED, an even number. They fit into i32. */
// @ts-ignore: decorator
@inline
function sumsOfTwo(kind: i32, isWeighted: bool, vectors: usize, c: usize): void {
  const multiplier = v128.load(MULTIPLIERS + 16 * c);
  const low = v128.load(LOWS + 16 * c);
  const high = v128.load(HIGHS + 16 * c);
  const nextMultiplier = v128.load(MULTIPLIERS + 16 * c, 16);
  const nextLow = v128.load(LOWS + 16 * c, 16);
  const nextHigh = v128.load(HIGHS + 16 * c, 16);
  let products = i32x4.splat(0);
  let squares = i32x4.splat(0);
  let nextProducts = i32x4.splat(0);
  let nextSquares = i32x4.splat(0);
  for (let at = FIXED; at < FIXED + 16 * vectors; at += 16) {
    const t = v128.load(at);
    const q = codesOf(kind, t, multiplier, low, high);
    const r = codesOf(kind, t, nextMultiplier, nextLow, nextHigh);
    const u = isWeighted ? i16x8.mul(q, v128.load(at + (WEIGHTS - FIXED))) : q;
    const v = isWeighted ? i16x8.mul(r, v128.load(at + (WEIGHTS - FIXED))) : r;
    products = i32x4.add(products, i32x4.dot_i16x8_s(u, t));
    squares = i32x4.add(squares, i32x4.dot_i16x8_s(u, q));
    nextProducts = i32x4.add(nextProducts, i32x4.dot_i16x8_s(v, t));
    nextSquares = i32x4.add(nextSquares, i32x4.dot_i16x8_s(v, r));
  }
  v128.store(PIECE_PRODUCTS + 16 * c, products);
  v128.store(PIECE_SQUARES + 16 * c, squares);
  v128.store(PIECE_PRODUCTS + 16 * c, nextProducts, 16);
  v128.store(PIECE_SQUARES + 16 * c, nextSquares, 16);
}

// @ts-ignore: decorator
@inline
function storeDoubles(to: usize, lanes: v128): void {
  v128.store(to, f64x2.convert_low_i32x4_s(lanes));
  v128.store(to, f64x2.convert_low_i32x4_s(v128.shuffle<i64>(lanes, lanes, 1, 1)), 16);
}

function widenSums(): void {
  for (let c: usize = 0; c < candidates; c++) {
    storeDoubles(PRODUCTS + 32 * c, v128.load(PIECE_PRODUCTS + 16 * c));
    storeDoubles(SQUARES + 32 * c, v128.load(PIECE_SQUARES + 16 * c));
  }
}

// One function a kind: in one, the compiler would ask for the kind in every turn of the inner loop.

function sumSymmetric4(vectors: usize): void {
  for (let c: usize = 0; c < candidates; c += 2) sumsOfTwo(SYMMETRIC_4, false, vectors, c);
}

function sumAsymmetric4(vectors: usize): void {
  for (let c: usize = 0; c < candidates; c += 2) sumsOfTwo(ASYMMETRIC_4, false, vectors, c);
}

function weighSymmetric4(vectors: usize): void {
  for (let c: usize = 0; c < candidates; c += 2) sumsOfTwo(SYMMETRIC_4, true, vectors, c);
}

function weighAsymmetric4(vectors: usize): void {
  for (let c: usize = 0; c < candidates; c += 2) sumsOfTwo(ASYMMETRIC_4, true, vectors, c);
}

function sum8(vectors: usize): void {
  for (let c: usize = 0; c < candidates; c += 2) sumsOfTwo(ANY_8, false, vectors, c);
  widenSums();
}

/** Sums of four groups, those by weights of 4-bit codes alone. */
export function sumGroups(isWeighted: bool, vectors: usize): void {
  if (bits == 8) sum8(vectors);
  else if (isWeighted) {
    if (asymmetric) weighAsymmetric4(vectors);
    else weighSymmetric4(vectors);
  } else if (asymmetric) sumAsymmetric4(vectors);
  else sumSymmetric4(vectors);
}

// @ts-ignore: decorator
@inline
function addLanes(to: usize, lower: v128, upper: v128): void {
  for (let lane: usize = 0; lane < 4; lane++) {
    const from = lane < 2 ? lower : upper;
    const sum = (lane & 1) != 0 ? i64x2.extract_lane(from, 1) : i64x2.extract_lane(from, 0);
    store<f64>(to + 8 * lane, load<f64>(to + 8 * lane) + <f64>sum);
  }
}

export function clearSums(): void {
  memory.fill(PRODUCTS, 0, 32 * candidates);
  memory.fill(SQUARES, 0, 32 * candidates);
}

// @ts-ignore: decorator
@inline
function addWideOf(kind: i32, isWeighted: bool, vectors: usize): void {
  for (let c: usize = 0; c < candidates; c++) {
    const multiplier = v128.load(MULTIPLIERS + 16 * c);
    const low = v128.load(LOWS + 16 * c);
    const high = v128.load(HIGHS + 16 * c);
    let lowerProducts = i64x2.splat(0);
    let upperProducts = i64x2.splat(0);
    let squares = i32x4.splat(0);
    for (let at = FIXED; at < FIXED + 16 * vectors; at += 16) {
      const t = v128.load(at);
      const q = codesOf(kind, t, multiplier, low, high);
      const u = isWeighted ? i16x8.mul(q, v128.load(at + (WEIGHTS - FIXED))) : q;
      const lanes = i32x4.dot_i16x8_s(u, t);
      lowerProducts = i64x2.add(lowerProducts, i64x2.extend_low_i32x4_s(lanes));
      upperProducts = i64x2.add(upperProducts, i64x2.extend_high_i32x4_s(lanes));
      squares = i32x4.add(squares, i32x4.dot_i16x8_s(u, q));
    }
    addLanes(PRODUCTS + 32 * c, lowerProducts, upperProducts);
    addLanes(SQUARES + 32 * c, i64x2.extend_low_i32x4_s(squares), i64x2.extend_high_i32x4_s(squares));
  }
}

/** Adds to the sums of four groups what may not fit into i32. */
export function addWide(isWeighted: bool, vectors: usize): void {
  if (bits == 8) addWideOf(ANY_8, isWeighted, vectors);
  else if (asymmetric) addWideOf(ASYMMETRIC_4, isWeighted, vectors);
  else addWideOf(SYMMETRIC_4, isWeighted, vectors);
}

/** Makes the sums of four parts of a row those of the row. */
export function joinSums(): void {
  for (let c: usize = 0; c < candidates; c++) {
    for (let lane: usize = 1; lane < 4; lane++) {
      const at = 32 * c + 8 * lane;
      store<f64>(PRODUCTS + 32 * c, load<f64>(PRODUCTS + 32 * c) + load<f64>(PRODUCTS + at));
      store<f64>(SQUARES + 32 * c, load<f64>(SQUARES + 32 * c) + load<f64>(SQUARES + at));
    }
  }
}

/** Products over squares of the best candidates of two groups, in lanes 0 and 1; their zero points go to candidate 0. */
// @ts-ignore: decorator
@inline
function bestOfTwo(pair: usize): v128 {
  let products = v128.load(PRODUCTS + 16 * pair);
  let ratio = f64x2.div(products, v128.load(SQUARES + 16 * pair));
  let most = f64x2.mul(products, ratio);
  let zeroPoint = v128.load64_zero(ZERO_POINTS + 8 * pair);
  for (let c: usize = 1; c < candidates; c++) {
    products = v128.load(PRODUCTS + 32 * c + 16 * pair);
    const next = f64x2.div(products, v128.load(SQUARES + 32 * c + 16 * pair));
    const merit = f64x2.mul(products, next);
    const isBetter = f64x2.gt(merit, most);
    ratio = v128.bitselect(next, ratio, isBetter);
    most = v128.bitselect(merit, most, isBetter);
    if (!asymmetric) continue;
    const narrow = v128.shuffle<i32>(isBetter, isBetter, 0, 2, 0, 2);
    zeroPoint = v128.bitselect(v128.load64_zero(ZERO_POINTS + 16 * c + 8 * pair), zeroPoint, narrow);
  }
  v128.store64_lane(ZERO_POINTS + 8 * pair, zeroPoint, 0);
  return f32x4.demote_f64x2_zero(ratio);
}

/** Products over squares of the best candidates of four groups, compared in float32. */
function bestOfFour(): v128 {
  let products = f32x4.convert_i32x4_s(v128.load(PIECE_PRODUCTS));
  let ratio = f32x4.div(products, f32x4.convert_i32x4_s(v128.load(PIECE_SQUARES)));
  let most = f32x4.mul(products, ratio);
  let zeroPoint = v128.load(ZERO_POINTS);
  for (let c: usize = 1; c < candidates; c++) {
    products = f32x4.convert_i32x4_s(v128.load(PIECE_PRODUCTS + 16 * c));
    const next = f32x4.div(products, f32x4.convert_i32x4_s(v128.load(PIECE_SQUARES + 16 * c)));
    const merit = f32x4.mul(products, next);
    const isBetter = f32x4.gt(merit, most);
    ratio = v128.bitselect(next, ratio, isBetter);
    most = f32x4.pmax(most, merit);
    if (asymmetric) zeroPoint = v128.bitselect(v128.load(ZERO_POINTS + 16 * c), zeroPoint, isBetter);
  }
  if (asymmetric) v128.store(ZERO_POINTS, zeroPoint);
  return ratio;
}

/** Replaces the grids of four groups by those of their best candidates, unless they have no factor. */
// @ts-ignore: decorator
@inline
function replace(ratio: v128, slot: usize, scales: usize): void {
  const exact = f32x4.mul(ratio, v128.load(UNITS + slot * 4));
  const isSearched = f32x4.ne(v128.load(FACTORS + slot * 4), f32x4.splat(0));
  storeGrids(exact, f32x4.convert_i32x4_s(v128.load(ZERO_POINTS)), isSearched, slot, scales);
}

export function replaceGrids(slot: usize, scales: usize): void {
  if (bits == 4) replace(bestOfFour(), slot, scales);
  else replace(v128.shuffle<i64>(bestOfTwo(0), bestOfTwo(1), 0, 2), slot, scales);
}

/** Replaces the grid of slot 0 by the best candidate's over a row, whose sums are float64. */
export function replaceRowGrid(scales: usize): void {
  replace(bestOfTwo(0), 0, scales);
}
