// Rows quantized with algorithm `hqq`, by groups or by rows: what shares a scale is a unit, and four are worked on side
// by side, in pieces. Twin: schemes/arithmetic/integer_scheme.ts with half_quadratic.ts.
import { allFinite } from './floats';
import { addPiece, descendedScales, descendedZeros, descends, endRound, LANES, PIECE, startDescent } from './half_quadratic';
import {
  bits,
  bytesOfScale,
  CODES,
  chooseBatch,
  copyValues,
  encode,
  flip,
  HIGHS,
  LOWS,
  SCALES,
  setCode,
  storeGrids,
  ZEROS,
  zeroPointCode,
} from './integer_grids';
import { BF16, bytesOf, F16, F32, halfValues } from './lanes';
import { transposeFour } from './transpose';
import { widenBrains } from './widen';

/** A piece of each of four units as float32, zeros behind the end of a unit. */
const STAGE: usize = memory.data(4 * 256 * 4, 16);
const COUNTS: usize = memory.data(16, 16);
/** Where the values of each unit begin. */
const SOURCES: usize = memory.data(16, 16);

/** Settings of one call. */
let valueType: i32 = F32;
let scaleType: i32 = F32;

/** Puts the values [done, done + count) of the four units into STAGE. */
function stage(done: usize, count: usize): void {
  memory.fill(STAGE, 0, 16 * PIECE);
  for (let k: usize = 0; k < 4; k++) {
    const held = <usize>load<f32>(COUNTS + 4 * k);
    if (held <= done) continue;
    const source = load<u32>(SOURCES + 4 * k) + done * bytesOf(valueType);
    const to = STAGE + 4 * PIECE * k;
    if (valueType == BF16) widenBrains(source, min(count, held - done), to);
    else copyValues(valueType, source, min(count, held - done), to);
  }
}

/** STAGE by lanes. */
// @ts-ignore: decorator
@inline
function transpose(count: usize): void {
  transposeFour(STAGE, 4 * PIECE, count, LANES);
}

/** The plain grids of four units, whose ranges go the way of raw bits. */
function choosePlain(high: v128, low: v128): void {
  memory.fill(HIGHS, 0, 128);
  memory.fill(LOWS, 0, 128);
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 0, 0, 0, 0));
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 1, 1, 1, 1), 16);
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 2, 2, 2, 2), 32);
  v128.store(HIGHS, v128.shuffle<i32>(high, high, 3, 3, 3, 3), 48);
  v128.store(LOWS, v128.shuffle<i32>(low, low, 0, 0, 0, 0));
  v128.store(LOWS, v128.shuffle<i32>(low, low, 1, 1, 1, 1), 16);
  v128.store(LOWS, v128.shuffle<i32>(low, low, 2, 2, 2, 2), 32);
  v128.store(LOWS, v128.shuffle<i32>(low, low, 3, 3, 3, 3), 48);
  chooseBatch(F32, SCALES);
}

/** Scales of the first four units as float32. */
function plainScales(): v128 {
  if (scaleType == F32) return v128.load(SCALES);
  const codes = v128.load16x4_u(SCALES);
  return scaleType == F16 ? halfValues(codes) : i32x4.shl(codes, 16);
}

/** Where a scale is neither 0 nor infinite as it is stored. */
function isStorable(scale: v128): v128 {
  const magnitude = v128.and(scale, i32x4.splat(0x7fffffff));
  // halves round to 0 up to 2^-25 and to infinity from 65520 on, bfloat16 half a step beyond its first and last code
  const least = scaleType == F32 ? 0 : scaleType == F16 ? 0x33000000 : 0x8000;
  const beyond = scaleType == F32 ? 0x7f800000 : scaleType == F16 ? 0x477ff000 : 0x7f7f8000;
  return v128.and(i32x4.gt_s(magnitude, i32x4.splat(least)), i32x4.lt_s(magnitude, i32x4.splat(beyond)));
}

/** Chooses the grids of four units of up to `longest` values, in slots 0 to 3. */
function chooseFour(longest: usize): void {
  let high = f32x4.splat(0);
  let low = f32x4.splat(0);
  for (let done: usize = 0; done < longest; done += PIECE) {
    const count = min(PIECE, longest - done);
    stage(done, count);
    transpose(count);
    for (let at = LANES; at < LANES + 16 * count; at += 16) {
      high = f32x4.pmax(high, v128.load(at));
      low = f32x4.pmin(low, v128.load(at));
    }
  }
  choosePlain(high, v128.or(low, i32x4.splat(i32.MIN_VALUE)));
  const plain = plainScales();
  startDescent(plain, v128.load(ZEROS));
  for (let goesOn = descends(); goesOn; goesOn = endRound(v128.load(COUNTS))) {
    for (let done: usize = 0; done < longest; done += PIECE) {
      const count = min(PIECE, longest - done);
      if (longest > PIECE) {
        stage(done, count);
        transpose(count);
      }
      addPiece(count);
    }
  }
  const exact = f32x4.mul(descendedScales(), plain);
  storeGrids(exact, descendedZeros(), isStorable(exact), 0, SCALES);
}

/** Writes the codes of `count` values of the unit in a slot, from code `index` of the part on. */
function encodePiece(slot: usize, count: usize, codes: usize, index: usize): void {
  const from = STAGE + 4 * PIECE * slot;
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

/**
 * Quantizes rows by groups of `group` columns, or by rows where it is 0; after integerSettings. False where a value is
 * not finite. `zeroPoints` is 0 for symmetric codes.
 */
export function halfQuadratic(
  dtype: i32,
  scaleDtype: i32,
  from: usize,
  rows: usize,
  cols: usize,
  group: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
): bool {
  if (!allFinite(dtype, from, rows * cols)) return false;
  valueType = dtype;
  scaleType = scaleDtype;
  const isChannel = group == 0;
  const unit = isChannel ? cols : group;
  const blocks = (cols + unit - 1) / unit;
  const width = <usize>bits;
  const zeroPointBytes = (blocks * width + 7) >> 3;
  const scaleBytes = bytesOfScale();
  // unused nibbles: 8 beside a zero point of a row, 0 at the end of a flat tensor
  if (zeroPoints != 0) {
    if (isChannel) memory.fill(zeroPoints, 0, (rows * width + 7) >> 3);
    else memory.fill(zeroPoints, <u8>(0x88 ^ flip), rows * zeroPointBytes);
  }
  if (isChannel && bits == 4) memory.fill(codes, 0, (rows * cols + 1) >> 1);
  const total = rows * blocks;
  for (let first: usize = 0; first < total; first += 4) {
    const held = min<usize>(4, total - first);
    memory.fill(COUNTS, 0, 16);
    for (let k: usize = 0; k < held; k++) {
      const row = (first + k) / blocks;
      const col = ((first + k) % blocks) * unit;
      store<u32>(SOURCES + 4 * k, from + (row * cols + col) * bytesOf(dtype));
      store<f32>(COUNTS + 4 * k, <f32>min(unit, cols - col));
    }
    chooseFour(unit);
    memory.copy(scales + first * scaleBytes, SCALES, held * scaleBytes);
    for (let done: usize = 0; done < unit; done += PIECE) {
      const count = min(PIECE, unit - done);
      if (unit > PIECE) stage(done, count);
      for (let k: usize = 0; k < held; k++) encodePiece(k, count, codes, (first + k) * unit + done);
    }
    for (let k: usize = 0; k < held; k++) {
      const code = zeroPointCode(k);
      const row = (first + k) / blocks;
      if (zeroPoints != 0) {
        if (isChannel) setCode(zeroPoints, row, code);
        else setCode(zeroPoints + row * zeroPointBytes, (first + k) % blocks, code);
      }
      // 0 * infinity is not the zero point: padding is, whatever the scale
      for (let i = <usize>load<f32>(COUNTS + 4 * k); i < unit; i++) setCode(codes, (first + k) * unit + i, code);
    }
  }
  return true;
}
