// ggml's searches for the scale of a group: twins of schemes/ggml/searches.ts. Sums run in the order of the values.

/** Values of a block as float32, codes one a byte, and weights of a group. */
export const VALUES: usize = memory.data(1024, 16);
export const CODES: usize = memory.data(256, 16);
const TRIAL: usize = memory.data(32, 16);
const WEIGHTS: usize = memory.data(128, 16);

export const GROUP_MAX_EPS: f32 = 1e-15;
const TENTH: f32 = 0.1;

// @ts-ignore: decorator
@inline
export function nearestInt(x: f32): i32 {
  return (reinterpret<i32>(x + <f32>12582912) & 0x007fffff) - 0x00400000;
}

// @ts-ignore: decorator
@inline
function clamp(x: i32, least: i32, most: i32): i32 {
  return min(max(x, least), most);
}

// @ts-ignore: decorator
@inline
function valueAt(from: usize, i: usize): f32 {
  return load<f32>(from + 4 * i);
}

/** What is subtracted in the group that was searched last. */
export let minimum: f32 = 0;

/** make_qkx2_quants over the 32 values at `from`, weights rms + |x|. Leaves codes at `codes` and `minimum`. */
export function searchScaleAndMinimum(from: usize, largest: i32, first: f32, steps: i32, codes: usize): f32 {
  let sumX2: f32 = 0;
  for (let i: usize = 0; i < 32; i++) sumX2 += valueAt(from, i) * valueAt(from, i);
  const rms = sqrt<f32>(sumX2 / 32);
  let least = valueAt(from, 0);
  let most = least;
  let sumW: f32 = 0;
  let sumX: f32 = 0;
  for (let i: usize = 0; i < 32; i++) {
    const x = valueAt(from, i);
    const weight = rms + abs(x);
    store<f32>(WEIGHTS + 4 * i, weight);
    if (x < least) least = x;
    if (x > most) most = x;
    sumW += weight;
    sumX += weight * x;
  }
  if (least > 0) least = 0;
  if (most == least) {
    memory.fill(codes, 0, 32);
    minimum = -least;
    return 0;
  }
  let inverse = <f32>largest / (most - least);
  let scale: f32 = <f32>1 / inverse;
  let leastError: f32 = 0;
  for (let i: usize = 0; i < 32; i++) {
    const x = valueAt(from, i);
    const code = clamp(nearestInt(inverse * (x - least)), 0, largest);
    store<u8>(codes + i, <u8>code);
    const rest = scale * <f32>code + least - x;
    leastError += load<f32>(WEIGHTS + 4 * i) * (rest * rest);
  }
  for (let step = 0; step <= steps; step++) {
    inverse = (first + TENTH * <f32>step + <f32>largest) / (most - least);
    let sumL: f32 = 0;
    let sumL2: f32 = 0;
    let sumXL: f32 = 0;
    for (let i: usize = 0; i < 32; i++) {
      const x = valueAt(from, i);
      const code = clamp(nearestInt(inverse * (x - least)), 0, largest);
      store<u8>(TRIAL + i, <u8>code);
      const weighted = load<f32>(WEIGHTS + 4 * i) * <f32>code;
      sumL += weighted;
      sumL2 += weighted * <f32>code;
      sumXL += weighted * x;
    }
    const determinant = sumW * sumL2 - sumL * sumL;
    if (!(determinant > 0)) continue;
    let thisScale = (sumW * sumXL - sumX * sumL) / determinant;
    let thisMin = (sumL2 * sumX - sumL * sumXL) / determinant;
    if (thisMin > 0) {
      thisMin = 0;
      thisScale = sumXL / sumL2;
    }
    let error: f32 = 0;
    for (let i: usize = 0; i < 32; i++) {
      const rest = thisScale * <f32>load<u8>(TRIAL + i) + thisMin - valueAt(from, i);
      error += load<f32>(WEIGHTS + 4 * i) * (rest * rest);
    }
    if (error < leastError) {
      memory.copy(codes, TRIAL, 32);
      leastError = error;
      scale = thisScale;
      least = thisMin;
    }
  }
  minimum = -least;
  return scale;
}

let sumLX: f32 = 0;
let sumL2: f32 = 0;

function sums(from: usize, inverse: f32): void {
  let lx: f32 = 0;
  let l2: f32 = 0;
  for (let i: usize = 0; i < 16; i++) {
    const x = valueAt(from, i);
    const code = <f32>clamp(nearestInt(inverse * x), -32, 31);
    const weight = x * x;
    lx += weight * x * code;
    l2 += weight * code * code;
  }
  sumLX = lx;
  sumL2 = l2;
}

function keep(from: usize, inverse: f32, codes: usize): void {
  for (let i: usize = 0; i < 16; i++) {
    store<u8>(codes + i, <u8>(32 + clamp(nearestInt(inverse * valueAt(from, i)), -32, 31)));
  }
}

/** make_qx_quants over the 16 values at `from`, weights x^2, codes of six bits. */
export function searchScale(from: usize, codes: usize): f32 {
  let greatest: f32 = 0;
  let amax: f32 = 0;
  for (let i: usize = 0; i < 16; i++) {
    const x = valueAt(from, i);
    if (abs(x) > amax) {
      amax = abs(x);
      greatest = x;
    }
  }
  if (amax < GROUP_MAX_EPS) {
    memory.fill(codes, 0, 16);
    return 0;
  }
  let inverse: f32 = <f32>-32 / greatest;
  sums(from, inverse);
  keep(from, inverse, codes);
  let scale: f32 = sumL2 != 0 ? sumLX / sumL2 : 0;
  let best = scale * sumLX;
  for (let step = -9; step <= 9; step++) {
    if (step == 0) continue;
    inverse = -(<f32>32 + TENTH * <f32>step) / greatest;
    sums(from, inverse);
    if (sumL2 > 0 && sumLX * sumLX > best * sumL2) {
      keep(from, inverse, codes);
      scale = sumLX / sumL2;
      best = scale * sumLX;
    }
  }
  return scale;
}
