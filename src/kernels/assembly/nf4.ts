// Blocks of the flat tensor on the sixteen values of NF4: twin of schemes/nf4.ts.
import { allFinite } from './floats';
import { BF16, bytesOf, evenValues, F16, F32, oddValues } from './lanes';
import { largestBits, magnitudeOf } from './magnitudes';
import { widenHalves } from './widen';

/** The greatest value of each code but the last. */
const BOUNDS: usize = memory.data<f32>(
  [
    -0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984,
    -0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668,
    0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011,
  ],
  16,
);
/** Two codes of 0. */
const ZEROS: u8 = 0x77;

/** A block that is not whole, or of halves, which are made float32; and its codes. */
const BLOCK: usize = memory.data(1024, 16);
const BLOCK_CODES: usize = memory.data(128, 16);

/** Codes of sixteen values, how many bounds lie below each. 0 * infinity lies above none. */
// @ts-ignore: decorator
@inline
function encodeSixteen(dtype: i32, at: usize, inverse: v128, to: usize): void {
  const next = at + 8 * bytesOf(dtype);
  const a = f32x4.mul(evenValues(dtype, at), inverse);
  const b = f32x4.mul(oddValues(dtype, at), inverse);
  const c = f32x4.mul(evenValues(dtype, next), inverse);
  const d = f32x4.mul(oddValues(dtype, next), inverse);
  let codesA = i32x4.splat(0);
  let codesB = i32x4.splat(0);
  let codesC = i32x4.splat(0);
  let codesD = i32x4.splat(0);
  for (let bound = BOUNDS; bound < BOUNDS + 60; bound += 4) {
    const lanes = v128.load32_splat(bound);
    codesA = i32x4.sub(codesA, f32x4.gt(a, lanes));
    codesB = i32x4.sub(codesB, f32x4.gt(b, lanes));
    codesC = i32x4.sub(codesC, f32x4.gt(c, lanes));
    codesD = i32x4.sub(codesD, f32x4.gt(d, lanes));
  }
  const first = v128.or(i32x4.shl(codesA, 4), codesB);
  const second = v128.or(i32x4.shl(codesC, 4), codesD);
  const words = i16x8.narrow_i32x4_u(first, second);
  v128.store_lane<u64>(to, i8x16.narrow_i16x8_u(words, words), 0);
}

// @ts-ignore: decorator
@inline
function encodeBlock(dtype: i32, from: usize, block: usize, codes: usize, scales: usize): void {
  const scale = magnitudeOf(dtype, largestBits(dtype, from, block));
  store<f32>(scales, scale);
  if (scale == 0) {
    memory.fill(codes, ZEROS, block >> 1);
    return;
  }
  const inverse = f32x4.splat(<f32>1 / scale);
  for (let i: usize = 0; i < block; i += 16) encodeSixteen(dtype, from + i * bytesOf(dtype), inverse, codes + (i >> 1));
}

function encodeBrains(from: usize, block: usize, codes: usize, scales: usize): void {
  encodeBlock(BF16, from, block, codes, scales);
}

function encodeSingles(from: usize, block: usize, codes: usize, scales: usize): void {
  encodeBlock(F32, from, block, codes, scales);
}

/** Quantizes `count` values in blocks of `block`; false where one is not finite. */
export function nf4Blocks(dtype: i32, from: usize, count: usize, block: usize, codes: usize, scales: usize): bool {
  if (!allFinite(dtype, from, count)) return false;
  const size = bytesOf(dtype);
  for (let done: usize = 0; done < count; done += block) {
    const held = min(block, count - done);
    const isWhole = held == block;
    let source = from + done * size;
    if (!isWhole || dtype == F16) {
      if (!isWhole) memory.fill(BLOCK, 0, 1024);
      if (dtype == F16) widenHalves(source, held, BLOCK);
      else memory.copy(BLOCK, source, held * size);
      source = BLOCK;
    }
    const to = isWhole ? codes + (done >> 1) : BLOCK_CODES;
    const scaleTo = scales + (done / block) * 4;
    if (dtype == BF16) encodeBrains(source, block, to, scaleTo);
    else encodeSingles(source, block, to, scaleTo);
    if (isWhole) continue;
    memory.copy(codes + (done >> 1), BLOCK_CODES, held >> 1);
    if ((held & 1) != 0) store<u8>(codes + ((done + held) >> 1), load<u8>(BLOCK_CODES + (held >> 1)) & 0xf0);
  }
  return true;
}
