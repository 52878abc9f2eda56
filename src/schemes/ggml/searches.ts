// ggml's searches for the scale of a group, float32 step by step (ggml/src/ggml-quants.c).
const f32 = Math.fround;

/** Below this greatest magnitude a group counts as zeros. */
export const GROUP_MAX_EPS = f32(1e-15);

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** The integer nearest to x, ties to even: nearest_int, with its wrap-around beyond 2^22. */
export function nearestInt(x: number): number {
  float[0] = x + 12582912;
  return (bits[0] & 0x007fffff) - 0x00400000;
}

const clamp = (x: number, least: number, most: number) => Math.max(least, Math.min(most, x));

export interface ScaleAndMinimum {
  scale: number;
  /** What is subtracted, at least 0. */
  minimum: number;
}

/**
 * make_qkx2_quants: the scale and the minimum of the `n` values from `at` on with the least weighted squared error
 * among steps that are a little smaller or larger than the range asks for, each refitted by least squares. Leaves codes
 * 0 to `largest` in `codes` from `at` on.
 */
export function searchScaleAndMinimum(
  values: Float32Array,
  at: number,
  n: number,
  largest: number,
  weights: Float32Array,
  first: number,
  steps: number,
  codes: Uint8Array,
  codesAt: number,
  trial: Uint8Array,
): ScaleAndMinimum {
  let min = values[at];
  let max = values[at];
  let sumW = weights[0];
  let sumX = f32(sumW * values[at]);
  for (let i = 1; i < n; i++) {
    const x = values[at + i];
    if (x < min) min = x;
    if (x > max) max = x;
    sumW = f32(sumW + weights[i]);
    sumX = f32(sumX + f32(weights[i] * x));
  }
  if (min > 0) min = 0;
  if (max === min) {
    codes.fill(0, codesAt, codesAt + n);
    return { scale: 0, minimum: -min };
  }
  const range = f32(max - min);
  let inverse = f32(largest / range);
  let scale = f32(1 / inverse);
  let leastError = 0;
  const lowest = min;
  for (let i = 0; i < n; i++) {
    const code = clamp(nearestInt(f32(inverse * f32(values[at + i] - lowest))), 0, largest);
    codes[codesAt + i] = code;
    const rest = f32(f32(f32(scale * code) + lowest) - values[at + i]);
    leastError = f32(leastError + f32(weights[i] * f32(rest * rest)));
  }
  for (let step = 0; step <= steps; step++) {
    // `min` is that of the best step so far, as in the source
    inverse = f32(f32(f32(first + f32(TENTH * step)) + largest) / f32(max - min));
    let sumL = 0;
    let sumL2 = 0;
    let sumXL = 0;
    for (let i = 0; i < n; i++) {
      const x = values[at + i];
      const code = clamp(nearestInt(f32(inverse * f32(x - min))), 0, largest);
      trial[i] = code;
      const weighted = f32(weights[i] * code);
      sumL = f32(sumL + weighted);
      sumL2 = f32(sumL2 + f32(weighted * code));
      sumXL = f32(sumXL + f32(weighted * x));
    }
    const determinant = f32(f32(sumW * sumL2) - f32(sumL * sumL));
    if (!(determinant > 0)) continue;
    let thisScale = f32(f32(f32(sumW * sumXL) - f32(sumX * sumL)) / determinant);
    let thisMin = f32(f32(f32(sumL2 * sumX) - f32(sumL * sumXL)) / determinant);
    if (thisMin > 0) {
      thisMin = 0;
      thisScale = f32(sumXL / sumL2);
    }
    let error = 0;
    for (let i = 0; i < n; i++) {
      const rest = f32(f32(f32(thisScale * trial[i]) + thisMin) - values[at + i]);
      error = f32(error + f32(weights[i] * f32(rest * rest)));
    }
    if (error < leastError) {
      for (let i = 0; i < n; i++) codes[codesAt + i] = trial[i];
      leastError = error;
      scale = thisScale;
      min = thisMin;
    }
  }
  return { scale, minimum: -min };
}

const TENTH = f32(0.1);

/**
 * make_qx_quants with weights x^2: the scale of the `n` values from `at` on with the least weighted squared error.
 * Leaves codes 0 to 2 * half - 1 in `codes` from `codesAt` on; code - half times the scale is a value.
 */
export function searchScale(
  values: Float32Array,
  at: number,
  n: number,
  half: number,
  codes: Uint8Array,
  codesAt: number,
): number {
  let max = 0;
  let amax = 0;
  for (let i = at; i < at + n; i++) {
    const magnitude = Math.abs(values[i]);
    if (magnitude > amax) {
      amax = magnitude;
      max = values[i];
    }
  }
  if (amax < GROUP_MAX_EPS) {
    codes.fill(0, codesAt, codesAt + n);
    return 0;
  }
  let sumLX = 0;
  let sumL2 = 0;
  const sums = (inverse: number) => {
    sumLX = 0;
    sumL2 = 0;
    for (let i = at; i < at + n; i++) {
      const x = values[i];
      const code = clamp(nearestInt(f32(inverse * x)), -half, half - 1);
      const weight = f32(x * x);
      sumLX = f32(sumLX + f32(f32(weight * x) * code));
      sumL2 = f32(sumL2 + f32(f32(weight * code) * code));
    }
  };
  const keep = (inverse: number) => {
    for (let i = 0; i < n; i++) {
      codes[codesAt + i] = half + clamp(nearestInt(f32(inverse * values[at + i])), -half, half - 1);
    }
  };
  let inverse = f32(-half / max);
  sums(inverse);
  keep(inverse);
  let scale = sumL2 ? f32(sumLX / sumL2) : 0;
  let best = f32(scale * sumLX);
  for (let step = -9; step <= 9; step++) {
    if (step === 0) continue;
    inverse = f32(-f32(half + f32(TENTH * step)) / max);
    sums(inverse);
    if (sumL2 > 0 && f32(sumLX * sumLX) > f32(best * sumL2)) {
      keep(inverse);
      scale = f32(sumLX / sumL2);
      best = f32(scale * sumLX);
    }
  }
  return scale;
}
