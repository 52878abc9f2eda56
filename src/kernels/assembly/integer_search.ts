// The search over scales, algorithms `mse` and `kquant`, of a batch of groups or of a row. Sums are of integers, exact in
// any order; every other step is one of float32 or float64 that the twin, schemes/arithmetic/scale_search.ts, repeats.
import { asymmetric, bits } from './integer_grids';
import { BF16, bytesOf, F32 } from './lanes';
import { addWide, clearSums, joinSums, placeZeroPoints, replaceGrids, replaceRowGrid, sumGroups } from './search_candidates';
import { doubled, fillWeights, fixGroups, fixPiece, MIDDLES, noteAnchors, rootOfMean, squaresOfFixed } from './search_fixed';
import { candidates, PIECE, weighted } from './search_settings';

/** How many values each group of a batch has, padding aside. */
const COUNTS: usize = memory.data(32, 16);
const MEANS: usize = memory.data(16, 16);

// @ts-ignore: decorator
@inline
export function isSearched(): bool {
  return candidates != 0;
}

/** Notes how many values the groups of a batch have: the last one of a row lacks its padding. */
export function noteCounts(first: usize, blocks: usize, group: usize, padding: usize): void {
  if (!weighted) return;
  let block = first % blocks;
  for (let slot: usize = 0; slot < 8; slot++) {
    const isLast = ++block == blocks;
    store<i32>(COUNTS + slot * 4, <i32>(isLast ? group - padding : group));
    if (isLast) block = 0;
  }
}

function noteMean(lane: usize, squares: i64, count: i32): void {
  store<i32>(MEANS + 4 * lane, rootOfMean(squares, count));
}

function weighGroups(vectors: usize, slot: usize): void {
  for (let lane: usize = 0; lane < 4; lane += 2) {
    const squares = squaresOfFixed(vectors, lane != 0);
    noteMean(lane, i64x2.extract_lane(squares, 0), load<i32>(COUNTS + 4 * (slot + lane)));
    noteMean(lane + 1, i64x2.extract_lane(squares, 1), load<i32>(COUNTS + 4 * (slot + lane), 4));
  }
  fillWeights(vectors, doubled(v128.load(MEANS)));
}

/** What all batches of a call share. */
export function startGroups(): void {
  if (isSearched() && !asymmetric) placeZeroPoints(0);
}

/** Searches the eight groups of a batch, whose ranges and plain grids are known. */
// @ts-ignore: decorator
@inline
export function searchBatch(dtype: i32, source: usize, group: usize, scales: usize): void {
  const vectors = group >> 1;
  for (let slot: usize = 0; slot < 8; slot += 4) {
    noteAnchors(slot);
    if (asymmetric) placeZeroPoints(slot);
    fixGroups(dtype, source + slot * group * bytesOf(dtype), group, slot);
    if (weighted) weighGroups(vectors, slot);
    if (!weighted) {
      sumGroups(false, vectors);
    } else if (bits == 4) {
      sumGroups(true, vectors);
    } else {
      clearSums();
      addWide(true, vectors);
    }
    replaceGrids(slot, scales);
  }
}

// ------------------------------------------------------------------ a row in pieces

/** Squares of a row's values in fixed point so far. */
let rowSquares: i64 = 0;

/** Readies the search of a row, whose range and plain grid are in slot 0. */
export function startRow(): void {
  noteAnchors(0);
  // a piece fills all four lanes
  const at = MIDDLES;
  v128.store(at, v128.load32_splat(at));
  placeZeroPoints(0);
  clearSums();
  rowSquares = 0;
}

function fix(dtype: i32, from: usize, count: usize): void {
  if (dtype == BF16) fixPiece(BF16, from, count);
  else fixPiece(F32, from, count);
}

/** Takes `count` values (a multiple of 16) of a row into the mean of their squares, before `searchPiece` has any. */
export function weighPiece(dtype: i32, from: usize, count: usize): void {
  for (let done: usize = 0; weighted && done < count; done += PIECE) {
    const part = min(PIECE, count - done);
    fix(dtype, from + done * bytesOf(dtype), part);
    const lower = squaresOfFixed(part >> 3, false);
    const sum = i64x2.add(lower, squaresOfFixed(part >> 3, true));
    rowSquares += i64x2.extract_lane(sum, 0) + i64x2.extract_lane(sum, 1);
  }
}

/** Takes `count` values (a multiple of 16) of a row of `cols` into the sums of every candidate. */
export function searchPiece(dtype: i32, from: usize, count: usize, cols: usize): void {
  for (let done: usize = 0; done < count; done += PIECE) {
    const part = min(PIECE, count - done);
    fix(dtype, from + done * bytesOf(dtype), part);
    if (weighted) fillWeights(part >> 3, i16x8.splat(<i16>rootOfMean(rowSquares, <i32>cols)));
    addWide(weighted, part >> 3);
  }
}

/** Replaces the grid of slot 0 by the best candidate's. */
export function finishRow(scales: usize): void {
  joinSums();
  replaceRowGrid(scales);
}
