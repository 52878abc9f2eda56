// What `hqq` by groups and by rows share: up to four units, each of which has a scale, staged as float32 and by lanes,
// their plain grids, and their codes. Twin: schemes/arithmetic/integer_scheme.ts with half_quadratic.ts.
import { bestScale, bestZero, PIECE } from './half_quadratic';
import { bits, CODES, chooseBatch, encode, HIGHS, LOWS, SCALES, setCode, storeGrids, ZEROS } from './integer_grids';
import { BF16, bytesOf, F16, F32, halfValues } from './lanes';
import { transposeFour } from './transpose';
import { widenBrains, widenHalves } from './widen';

/** A piece of each of four units as float32, zeros behind the end of a unit. */
export const STAGE: usize = memory.data(4 * 256 * 4, 16);
/** Where the values of each unit begin, and how many there are: 0 where there is no unit. */
const SOURCES: usize = memory.data(16, 16);
const HELD: usize = memory.data(16, 16);

/** Settings of one call. */
let valueType: i32 = F32;
let scaleType: i32 = F32;

export function unitSettings(dtype: i32, scaleDtype: i32): void {
  valueType = dtype;
  scaleType = scaleDtype;
}

export function placeUnit(slot: usize, source: usize, count: usize): void {
  store<u32>(SOURCES + 4 * slot, source);
  store<u32>(HELD + 4 * slot, count);
}

/** How many values each unit has, as float32. */
export function unitCounts(): v128 {
  return f32x4.convert_i32x4_s(v128.load(HELD));
}

/** Puts values [done, done + count) of the four units into STAGE, and side by side to `lanes`. */
export function stage(done: usize, count: usize, lanes: usize): void {
  memory.fill(STAGE, 0, 16 * PIECE);
  for (let slot: usize = 0; slot < 4; slot++) {
    const held = <usize>load<u32>(HELD + 4 * slot);
    if (held <= done) continue;
    const source = load<u32>(SOURCES + 4 * slot) + done * bytesOf(valueType);
    const to = STAGE + 4 * PIECE * slot;
    const part = min(count, held - done);
    if (valueType == BF16) widenBrains(source, part, to);
    else if (valueType == F16) widenHalves(source, part, to);
    else memory.copy(to, source, 4 * part);
  }
  transposeFour(STAGE, 4 * PIECE, count, lanes);
}

/** Greatest and least values of the four so far, 0 included. */
let high: v128 = i32x4.splat(0);
let low: v128 = i32x4.splat(0);

export function startRange(): void {
  high = i32x4.splat(0);
  low = i32x4.splat(0);
}

/** Takes `count` values of each into the range. */
export function widenRange(count: usize, lanes: usize): void {
  for (let at = lanes; at < lanes + 16 * count; at += 16) {
    high = f32x4.pmax(high, v128.load(at));
    low = f32x4.pmin(low, v128.load(at));
  }
}

/** Scales and zero points of the four plain grids. */
export let plainScale: v128 = i32x4.splat(0);
export let plainZero: v128 = i32x4.splat(0);

/** Chooses the plain grids for the range. They go by the raw bits of greatest and least values, where 0 is -0 too. */
export function choosePlain(): void {
  const least = v128.or(low, i32x4.splat(i32.MIN_VALUE));
  memory.fill(HIGHS, 0, 128);
  memory.fill(LOWS, 0, 128);
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 0, 0, 0, 0));
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 1, 1, 1, 1), 16);
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 2, 2, 2, 2), 32);
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 3, 3, 3, 3), 48);
  v128.store(LOWS, v128.shuffle<i32>(least, least, 0, 0, 0, 0));
  v128.store(LOWS, v128.shuffle<i32>(least, least, 1, 1, 1, 1), 16);
  v128.store(LOWS, v128.shuffle<i32>(least, least, 2, 2, 2, 2), 32);
  v128.store(LOWS, v128.shuffle<i32>(least, least, 3, 3, 3, 3), 48);
  chooseBatch(F32, SCALES);
  plainZero = v128.load(ZEROS);
  if (scaleType == F32) plainScale = v128.load(SCALES);
  else if (scaleType == F16) plainScale = halfValues(v128.load16x4_u(SCALES));
  else plainScale = i32x4.shl(v128.load16x4_u(SCALES), 16);
}

/** Where a scale is neither 0 nor infinite as it is stored. */
function isStorable(scale: v128): v128 {
  const magnitude = v128.and(scale, i32x4.splat(0x7fffffff));
  // halves round to 0 up to 2^-25 and to infinity from 65520 on, bfloat16 half a step beyond its first and last code
  const least = scaleType == F32 ? 0 : scaleType == F16 ? 0x33000000 : 0x8000;
  const beyond = scaleType == F32 ? 0x7f800000 : scaleType == F16 ? 0x477ff000 : 0x7f7f8000;
  return v128.and(i32x4.gt_s(magnitude, i32x4.splat(least)), i32x4.lt_s(magnitude, i32x4.splat(beyond)));
}

/** Puts the grids that four units with these plain ones have descended to into slots 0 to 3. */
export function storeDescended(plain: v128, plainZeros: v128): void {
  const exact = f32x4.mul(bestScale, plain);
  const isKept = isStorable(exact);
  const zeros = v128.bitselect(bestZero, plainZeros, isKept);
  storeGrids(v128.bitselect(exact, plain, isKept), zeros, i32x4.splat(-1), 0, SCALES);
}

/** Writes codes of `count` float32 values at `from` on the grid of a slot, from code `index` of the part on. */
export function encodePiece(from: usize, slot: usize, count: usize, codes: usize, index: usize): void {
  const padded = (count + 15) & ~15;
  if (bits == 8) {
    encode(F32, 8, from, padded, slot, CODES);
    memory.copy(codes + index, CODES, count);
    return;
  }
  encode(F32, 4, from, padded, slot, CODES);
  // a row of an odd number of codes ends in the middle of a byte
  const whole = (index & 1) == 0 ? count & ~1 : 0;
  memory.copy(codes + (index >> 1), CODES, whole >> 1);
  for (let i = whole; i < count; i++) {
    setCode(codes, index + i, (<i32>load<u8>(CODES + (i >> 1)) >> (<i32>(i & 1) << 2)) & 15);
  }
}
