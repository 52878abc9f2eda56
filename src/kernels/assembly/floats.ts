// Floats without scales: twins of schemes/f32.ts, f16.ts and bf16.ts. `F16` and `BF16` are also what is written here.
import { BF16, brainCodes, bytesOf, exponentBits, F16, F32, fourValues, halfCodes } from './lanes';
import { widenBrains, widenHalves } from './widen';

/** The last, incomplete eight values and their codes. */
const TAIL: usize = memory.data(32, 16);
const TAIL_CODES: usize = memory.data(16, 16);

// @ts-ignore: decorator
@inline
function finiteLanes(dtype: i32, from: usize, count: usize): bool {
  const perVector: usize = dtype == F32 ? 4 : 8;
  const bound = exponentBits(dtype);
  let largest = i32x4.splat(0);
  const whole = count - (count % perVector);
  const end = from + whole * bytesOf(dtype);
  for (let at = from; at < end; at += 16) {
    const bits = v128.load(at);
    if (dtype == F32) largest = i32x4.max_s(largest, v128.and(bits, i32x4.splat(0x7fffffff)));
    else largest = i16x8.max_s(largest, v128.and(bits, i16x8.splat(0x7fff)));
  }
  const beyond = dtype == F32 ? i32x4.ge_s(largest, i32x4.splat(bound)) : i16x8.ge_s(largest, i16x8.splat(<i16>bound));
  if (v128.any_true(beyond)) return false;
  for (let i = whole; i < count; i++) {
    const bits = dtype == F32 ? load<i32>(from + 4 * i) : <i32>load<u16>(from + 2 * i);
    if ((bits & bound) == bound) return false;
  }
  return true;
}

/** Whether `count` stored values are all finite. */
export function allFinite(dtype: i32, from: usize, count: usize): bool {
  if (dtype == BF16) return finiteLanes(BF16, from, count);
  if (dtype == F16) return finiteLanes(F16, from, count);
  return finiteLanes(F32, from, count);
}

// @ts-ignore: decorator
@inline
function eightCodes(dtype: i32, target: i32, at: usize): v128 {
  const a = fourValues(dtype, at);
  const b = fourValues(dtype, at + 4 * bytesOf(dtype));
  if (target == F16) return i16x8.narrow_i32x4_u(halfCodes(a), halfCodes(b));
  return i16x8.narrow_i32x4_u(brainCodes(a), brainCodes(b));
}

/** Rounds to a 16-bit float, to nearest even; false where a value ran over into infinity. */
// @ts-ignore: decorator
@inline
function narrow(dtype: i32, target: i32, from: usize, count: usize, to: usize): bool {
  const size = bytesOf(dtype);
  const whole = count & ~7;
  let largest = i16x8.splat(0);
  for (let i: usize = 0; i < whole; i += 8) {
    const codes = eightCodes(dtype, target, from + i * size);
    v128.store(to + 2 * i, codes);
    largest = i16x8.max_s(largest, v128.and(codes, i16x8.splat(0x7fff)));
  }
  if (whole < count) {
    memory.fill(TAIL, 0, 32);
    memory.copy(TAIL, from + whole * size, (count - whole) * size);
    const codes = eightCodes(dtype, target, TAIL);
    v128.store(TAIL_CODES, codes);
    memory.copy(to + 2 * whole, TAIL_CODES, 2 * (count - whole));
    largest = i16x8.max_s(largest, v128.and(codes, i16x8.splat(0x7fff)));
  }
  return !v128.any_true(i16x8.ge_s(largest, i16x8.splat(<i16>exponentBits(target))));
}

/**
 * Writes `count` values as another (or the same) float; false where one is not finite or its target is not. Those that stay
 * the same may be there already.
 */
export function convertFloats(dtype: i32, target: i32, from: usize, count: usize, to: usize): bool {
  if (!allFinite(dtype, from, count)) return false;
  if (dtype == target) {
    if (from != to) memory.copy(to, from, count * bytesOf(dtype));
  } else if (target == F32 && dtype == BF16) widenBrains(from, count, to);
  else if (target == F32) widenHalves(from, count, to);
  else if (target == F16 && dtype == BF16) return narrow(BF16, F16, from, count, to);
  else if (target == F16) return narrow(F32, F16, from, count, to);
  else if (dtype == F16) return narrow(F16, BF16, from, count, to);
  else return narrow(F32, BF16, from, count, to);
  return true;
}
