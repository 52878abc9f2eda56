// ggml's blocks of 256 values, whose groups' scales are scaled themselves: twins of schemes/ggml/super_blocks.ts. The
// block stands in VALUES.
import { GROUP_MAX_EPS, nearestWithin, searchScales, searchScalesAndMinima, sixBits, VALUES } from './ggml_search';
import { storeHalf } from './ggml_simple_blocks';
import { halfValues } from './lanes';

/** Scales, and minima or inverse scales, of the groups of a block as float32. */
const SCALES: usize = memory.data(64, 16);
const MINIMA: usize = memory.data(64, 16);
/** Codes that a search left, value i of four groups in lanes, then of the next four; and codes one a byte. */
const SEARCHED: usize = memory.data(8 * 32 * 4, 16);
const CODES: usize = memory.data(256, 16);

// @ts-ignore: decorator
@inline
function loadHalf(from: usize): f32 {
  return f32x4.extract_lane(halfValues(i32x4.splat(load<u16>(from))), 0);
}

// @ts-ignore: decorator
@inline
function nearestInt(x: f32): i32 {
  return (reinterpret<i32>(x + <f32>12582912) & 0x007fffff) - 0x00400000;
}

/** Integers of sixteen lanes as bytes. */
// @ts-ignore: decorator
@inline
function bytesOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

// ------------------------------------------------------------------ scales and minima of six bits

function scaleOf(scales: usize, j: usize): i32 {
  return j < 4
    ? load<u8>(scales + j) & 63
    : (load<u8>(scales + j + 4) & 15) | ((load<u8>(scales + j - 4) >> 6) << 4);
}

function minimumOf(scales: usize, j: usize): i32 {
  return j < 4 ? load<u8>(scales + j + 4) & 63 : (load<u8>(scales + j + 4) >> 4) | ((load<u8>(scales + j) >> 6) << 4);
}

function storeSixBits(scales: usize, j: usize, scale: i32, least: i32): void {
  if (j < 4) {
    store<u8>(scales + j, <u8>scale);
    store<u8>(scales + j + 4, <u8>least);
    return;
  }
  store<u8>(scales + j + 4, <u8>((scale & 15) | ((least & 15) << 4)));
  store<u8>(scales + j - 4, load<u8>(scales + j - 4) | <u8>((scale >> 4) << 6));
  store<u8>(scales + j, load<u8>(scales + j) | <u8>((least >> 4) << 6));
}

// ------------------------------------------------------------------ Q4_K, Q5_K

// @ts-ignore: decorator
@inline
function fourCodes(from: usize, least: v128, d: v128, top: v128): v128 {
  return nearestWithin(f32x4.div(f32x4.add(v128.load(from), least), d), i32x4.splat(0), top);
}

/** Codes of group `j` to CODES; those of the search where the scale is rounded to 0. */
function encodeGroup(j: usize, d: f32, least: f32, largest: i32): void {
  const to = CODES + 32 * j;
  if (d == 0) {
    const codes = SEARCHED + 512 * (j >> 2) + 4 * (j & 3);
    for (let i: usize = 0; i < 32; i++) store<u8>(to + i, <u8>load<f32>(codes + 16 * i));
    return;
  }
  const least4 = f32x4.splat(least);
  const d4 = f32x4.splat(d);
  const top = i32x4.splat(largest);
  for (let i: usize = 0; i < 32; i += 16) {
    const from = VALUES + 128 * j + 4 * i;
    const codes = bytesOf(
      fourCodes(from, least4, d4, top),
      fourCodes(from + 16, least4, d4, top),
      fourCodes(from + 32, least4, d4, top),
      fourCodes(from + 48, least4, d4, top),
    );
    v128.store(to + i, codes);
  }
}

/** Packs CODES: low nibbles of a group and of the next one together, fifth bits of group j in bit j. */
function packCodes(nibbles: usize, fifths: usize): void {
  const low = i8x16.splat(15);
  for (let i: usize = 0; i < 32; i += 16) {
    let fifth = i32x4.splat(0);
    for (let pair: usize = 0; pair < 4; pair++) {
      const a = v128.load(CODES + 64 * pair + i);
      const b = v128.load(CODES + 64 * pair + i, 32);
      v128.store(nibbles + 32 * pair + i, v128.or(v128.and(a, low), i16x8.shl(v128.and(b, low), 4)));
      // codes are below 32: shifted by words, nothing runs into the next byte
      const bits = v128.or(i16x8.shr_u(v128.andnot(a, low), 4), i16x8.shr_u(v128.andnot(b, low), 3));
      fifth = v128.or(fifth, i16x8.shl(bits, 2 * <i32>pair));
    }
    if (fifths != 0) v128.store(fifths + i, fifth);
  }
}

/** Codes of 4 bits, or of 5 where `largest` is 31; the search's first step and how many follow it. */
export function encodeWithMinimum(to: usize, largest: i32, first: f32, steps: i32): bool {
  searchScalesAndMinima(VALUES, largest, first, steps, SCALES, MINIMA, SEARCHED);
  searchScalesAndMinima(VALUES + 512, largest, first, steps, SCALES + 16, MINIMA + 16, SEARCHED + 512);
  let maxScale: f32 = 0;
  let maxMinimum: f32 = 0;
  for (let j: usize = 0; j < 8; j++) {
    const scale = load<f32>(SCALES + 4 * j);
    const minimum = load<f32>(MINIMA + 4 * j);
    if (scale > maxScale) maxScale = scale;
    if (minimum > maxMinimum) maxMinimum = minimum;
  }
  const inverseScale: f32 = maxScale > 0 ? <f32>63 / maxScale : 0;
  const inverseMinimum: f32 = maxMinimum > 0 ? <f32>63 / maxMinimum : 0;
  for (let j: usize = 0; j < 8; j++) {
    const scale = min(63, nearestInt(inverseScale * load<f32>(SCALES + 4 * j)) & 255);
    const least = min(63, nearestInt(inverseMinimum * load<f32>(MINIMA + 4 * j)) & 255);
    storeSixBits(to + 4, j, scale, least);
  }
  const fits = storeHalf(to, maxScale / 63);
  if (!storeHalf(to + 2, maxMinimum / 63) || !fits) return false;
  const storedScale = loadHalf(to);
  const storedMinimum = loadHalf(to + 2);
  for (let j: usize = 0; j < 8; j++) {
    encodeGroup(j, storedScale * <f32>scaleOf(to + 4, j), storedMinimum * <f32>minimumOf(to + 4, j), largest);
  }
  if (largest == 31) packCodes(to + 48, to + 16);
  else packCodes(to + 16, 0);
  return true;
}

// ------------------------------------------------------------------ Q6_K

// @ts-ignore: decorator
@inline
function fourSixBits(from: usize, factor: v128, isDivisor: bool): v128 {
  const x = v128.load(from);
  return i32x4.add(sixBits(isDivisor ? f32x4.div(x, factor) : f32x4.mul(factor, x)), i32x4.splat(32));
}

/** Codes of group `j` to CODES: of values over d, or where that is 0 those of the search. */
function encodeSixBits(j: usize, d: f32): void {
  const from = VALUES + 64 * j;
  const to = CODES + 16 * j;
  if (d != 0) {
    const d4 = f32x4.splat(d);
    const a = fourSixBits(from, d4, true);
    const b = fourSixBits(from + 16, d4, true);
    const c = fourSixBits(from + 32, d4, true);
    v128.store(to, bytesOf(a, b, c, fourSixBits(from + 48, d4, true)));
    return;
  }
  const inverse = v128.load32_splat(MINIMA + 4 * j);
  const a = fourSixBits(from, inverse, false);
  const b = fourSixBits(from + 16, inverse, false);
  const c = fourSixBits(from + 32, inverse, false);
  const codes = bytesOf(a, b, c, fourSixBits(from + 48, inverse, false));
  v128.store(to, load<f32>(MINIMA + 4 * j) == 0 ? i32x4.splat(0) : codes);
}

/** Packs CODES: low nibbles of four quarters of a half by pairs, their high pairs of bits together. */
function packSixBits(to: usize): void {
  const low = i8x16.splat(15);
  const high = i8x16.splat(0x30);
  for (let half: usize = 0; half < 2; half++) {
    for (let i: usize = 0; i < 32; i += 16) {
      const at = CODES + 128 * half + i;
      const a = v128.load(at);
      const b = v128.load(at, 32);
      const c = v128.load(at, 64);
      const d = v128.load(at, 96);
      const nibbles = to + 64 * half + i;
      v128.store(nibbles, v128.or(v128.and(a, low), i16x8.shl(v128.and(c, low), 4)));
      v128.store(nibbles, v128.or(v128.and(b, low), i16x8.shl(v128.and(d, low), 4)), 32);
      const pairs = v128.or(i16x8.shr_u(v128.and(a, high), 4), i16x8.shr_u(v128.and(b, high), 2));
      v128.store(to + 128 + 32 * half + i, v128.or(pairs, v128.or(v128.and(c, high), i16x8.shl(v128.and(d, high), 2))));
    }
  }
}

export function encodeQ6_K(to: usize): bool {
  for (let j: usize = 0; j < 16; j += 4) searchScales(VALUES + 64 * j, SCALES + 4 * j, MINIMA + 4 * j);
  let maxScale: f32 = 0;
  let maxMagnitude: f32 = 0;
  for (let j: usize = 0; j < 16; j++) {
    const scale = load<f32>(SCALES + 4 * j);
    if (abs(scale) > maxMagnitude) {
      maxMagnitude = abs(scale);
      maxScale = scale;
    }
  }
  if (maxMagnitude < GROUP_MAX_EPS) {
    memory.fill(to, 0, 210);
    return true;
  }
  const inverse = <f32>-128 / maxScale;
  if (!storeHalf(to + 208, <f32>1 / inverse)) return false;
  const stored = loadHalf(to + 208);
  for (let j: usize = 0; j < 16; j++) {
    const code = <i8>min(127, nearestInt(inverse * load<f32>(SCALES + 4 * j)));
    store<i8>(to + 192 + j, code);
    encodeSixBits(j, stored * <f32>code);
  }
  packSixBits(to);
  return true;
}
