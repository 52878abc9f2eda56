// What a search over scales is asked for, and its working memory. Twin: schemes/arithmetic/scale_search.ts.
import { asymmetric, bits, positive } from './integer_grids';

/** Most values of a group, or of a piece of a row, that are searched at a time. */
export const PIECE: usize = 256;
const MOST_CANDIDATES: usize = 18;

/** The candidates' steps over the anchor: i32, and as vectors of eight i16. */
const STEPS: usize = memory.data(18 * 4, 16);
export const MULTIPLIERS: usize = memory.data(18 * 16, 16);
export let candidates: usize = 0;
export let weighted: bool = false;
/** Fixed-point value of an anchor, bits of a step that are not its code's, and bits that a weight loses. */
export let one: f32 = 2048;
export let stepShift: i32 = 14;
export let weightShift: i32 = 4;

/** Lowest bits of a value that its 4-bit code is chosen without, so that products with multipliers fit into 16. */
export const COARSE: i32 = 3;

function add(steps: i32): void {
  store<i32>(STEPS + 4 * candidates, steps);
  v128.store(MULTIPLIERS + 16 * candidates, i16x8.splat(<i16>steps));
  candidates++;
}

function addFour(first: i32, second: i32, third: i32, fourth: i32): void {
  add(first);
  add(second);
  add(third);
  add(fourth);
}

function addBetween(first: i32, last: i32): void {
  for (let steps = first; steps <= last; steps++) add(steps);
}

/** Whether a scale is of so many values at most; `group` is 0 where a whole row has one. */
function isUpTo(most: i32, group: i32): bool {
  return group > 0 && group <= most;
}

/**
 * Sets the algorithm of one call: 0 for none, 1 for `mse`, 2 for `kquant`; after integerSettings. `group` is the values
 * of a group, 0 where a whole row has a scale. Candidates are even.
 */
export function searchSettings(algorithm: i32, group: i32): void {
  candidates = 0;
  weighted = algorithm == 2;
  one = bits == 4 ? 2048 : 16384;
  stepShift = bits == 8 ? 15 : asymmetric ? 13 : 14;
  weightShift = bits == 4 ? 4 : 9;
  if (algorithm == 0) return;
  if (weighted) {
    if (bits == 8) addBetween(asymmetric ? 507 : 252, asymmetric ? 516 : 261);
    else if (asymmetric) addBetween(56, 65);
    else addBetween(positive ? 52 : 56, positive ? 69 : 73);
  } else if (bits == 8) {
    if (asymmetric) addFour(508, 509, 510, 512);
    else if (positive) addFour(253, 254, 255, 256);
    else addFour(254, 255, 256, 258);
  } else if (asymmetric) {
    addFour(57, 59, 61, 63);
    add(65);
    add(67);
    if (isUpTo(32, group)) return;
    add(69);
    add(71);
  } else if (positive) addFour(58, 62, 66, 71);
  else if (isUpTo(16, group) || !isUpTo(64, group)) {
    addFour(56, 60, 63, 66);
    addFour(69, 72, 75, 79);
  } else if (isUpTo(32, group)) addFour(57, 62, 66, 70);
  else {
    addFour(57, 61, 64, 67);
    addFour(70, 73, 76, 80);
  }
}

export function stepsOf(candidate: usize): i32 {
  return load<i32>(STEPS + 4 * candidate);
}
