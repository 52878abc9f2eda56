// ggml's blocks: twins of schemes/ggml. Those of 256 values are here, those of 32 in ggml_simple_blocks.ts.
import { allFinite } from './floats';
import { CODES, GROUP_MAX_EPS, minimum, nearestInt, searchScale, searchScaleAndMinimum, VALUES } from './ggml_search';
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0, storeHalf } from './ggml_simple_blocks';
import { bytesOf, F16, F32, halfValues } from './lanes';
import { widenBrains, widenHalves } from './widen';

const Q4_0: i32 = 0;
const Q4_1: i32 = 1;
const Q5_0: i32 = 2;
const Q5_1: i32 = 3;
const Q8_0: i32 = 4;
const Q4_K: i32 = 5;
const Q5_K: i32 = 6;

/** Bytes of a block of each. */
const BLOCK_BYTES: usize = memory.data<u8>([18, 20, 22, 24, 34, 144, 176, 210]);

const SCALES: usize = memory.data(64, 16);
const MINIMA: usize = memory.data(32, 16);

/** Place among all values, and size, of the value that made a scale overflow. */
let refusedPlace: usize = 0;
let refusedSize: f32 = 0;
export function refusedIndex(): usize {
  return refusedPlace;
}
export function refusedValue(): f32 {
  return refusedSize;
}

// @ts-ignore: decorator
@inline
function value(i: usize): f32 {
  return load<f32>(VALUES + 4 * i);
}

// @ts-ignore: decorator
@inline
function loadHalf(from: usize): f32 {
  return f32x4.extract_lane(halfValues(i32x4.splat(load<u16>(from))), 0);
}

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

function encodeWithMinimum(to: usize, largest: i32, first: f32, steps: i32): bool {
  let maxScale: f32 = 0;
  let maxMinimum: f32 = 0;
  for (let j: usize = 0; j < 8; j++) {
    const scale = searchScaleAndMinimum(VALUES + 128 * j, largest, first, steps, CODES + 32 * j);
    store<f32>(SCALES + 4 * j, scale);
    store<f32>(MINIMA + 4 * j, minimum);
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
    const d = storedScale * <f32>scaleOf(to + 4, j);
    if (d == 0) continue;
    const least = storedMinimum * <f32>minimumOf(to + 4, j);
    for (let i = 32 * j; i < 32 * (j + 1); i++) {
      store<u8>(CODES + i, <u8>max(0, min(largest, nearestInt((value(i) + least) / d))));
    }
  }
  const isFive = largest == 31;
  const nibbles = to + (isFive ? 48 : 16);
  if (isFive) memory.fill(to + 16, 0, 32);
  for (let pair: usize = 0; pair < 4; pair++) {
    for (let i: usize = 0; i < 32; i++) {
      const low = <i32>load<u8>(CODES + 64 * pair + i);
      const high = <i32>load<u8>(CODES + 64 * pair + 32 + i);
      store<u8>(nibbles + 32 * pair + i, <u8>((low & 15) | ((high & 15) << 4)));
      if (isFive) {
        const fifth = ((low >> 4) << (2 * <i32>pair)) | ((high >> 4) << (2 * <i32>pair + 1));
        store<u8>(to + 16 + i, load<u8>(to + 16 + i) | <u8>fifth);
      }
    }
  }
  return true;
}

function encodeQ6_K(to: usize): bool {
  let maxScale: f32 = 0;
  let maxMagnitude: f32 = 0;
  for (let j: usize = 0; j < 16; j++) {
    const scale = searchScale(VALUES + 64 * j, CODES + 16 * j);
    store<f32>(SCALES + 4 * j, scale);
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
    const d = stored * <f32>code;
    if (d == 0) continue;
    for (let i = 16 * j; i < 16 * (j + 1); i++) {
      store<u8>(CODES + i, <u8>(32 + max(-32, min(31, nearestInt(value(i) / d)))));
    }
  }
  for (let half: usize = 0; half < 2; half++) {
    const codes = CODES + 128 * half;
    for (let i: usize = 0; i < 32; i++) {
      const a = <i32>load<u8>(codes + i);
      const b = <i32>load<u8>(codes + 32 + i);
      const c = <i32>load<u8>(codes + 64 + i);
      const d = <i32>load<u8>(codes + 96 + i);
      store<u8>(to + 64 * half + i, <u8>((a & 15) | ((c & 15) << 4)));
      store<u8>(to + 64 * half + 32 + i, <u8>((b & 15) | ((d & 15) << 4)));
      const high = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((d >> 4) << 6);
      store<u8>(to + 128 + 32 * half + i, <u8>high);
    }
  }
  return true;
}

function encode(format: i32, to: usize): bool {
  if (format == Q4_0) return encodeQ4_0(to);
  if (format == Q4_1) return encodeQ4_1(to);
  if (format == Q5_0) return encodeQ5_0(to);
  if (format == Q5_1) return encodeQ5_1(to);
  if (format == Q8_0) return encodeQ8_0(to);
  if (format == Q4_K) return encodeWithMinimum(to, 15, -1, 20);
  if (format == Q5_K) return encodeWithMinimum(to, 31, -0.5, 15);
  return encodeQ6_K(to);
}

/** Makes `count` stored values float32 in VALUES, zeros after them up to a block. */
function load32(dtype: i32, from: usize, count: usize, block: usize): void {
  if (count < block) memory.fill(VALUES, 0, 4 * block);
  if (dtype == F32) memory.copy(VALUES, from, 4 * count);
  else if (dtype == F16) widenHalves(from, count, VALUES);
  else widenBrains(from, count, VALUES);
}

/** Quantizes rows in blocks: 1 done, 0 a value is not finite, 2 a scale overflows at `refusedIndex`. */
export function ggmlBlocks(format: i32, dtype: i32, from: usize, rows: usize, cols: usize, out: usize): i32 {
  if (!allFinite(dtype, from, rows * cols)) return 0;
  const block: usize = format <= Q8_0 ? 32 : 256;
  const nbytes = <usize>load<u8>(BLOCK_BYTES + format);
  const size = bytesOf(dtype);
  let to = out;
  for (let row: usize = 0; row < rows; row++) {
    for (let col: usize = 0; col < cols; col += block) {
      const count = min(block, cols - col);
      load32(dtype, from + (row * cols + col) * size, count, block);
      if (!encode(format, to)) {
        let worst: usize = 0;
        for (let i: usize = 1; i < count; i++) if (abs(value(i)) > abs(value(worst))) worst = i;
        refusedPlace = row * cols + col + worst;
        refusedSize = value(worst);
        return 2;
      }
      to += nbytes;
    }
  }
  return 1;
}
