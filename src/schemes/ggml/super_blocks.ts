import { type BlockFormat, loadHalf, storeHalf } from './block_scheme.js';
import { GROUP_MAX_EPS, nearestInt, searchScale, searchScaleAndMinimum } from './searches.js';

const f32 = Math.fround;
const BLOCK = 256;

/**
 * Q4_K and Q5_K: eight groups of 32, each with a scale and a minimum of six bits, which two half floats scale.
 * Bytes: d, dmin, 12 of scales and minima, for Q5_K 32 of fifth bits, 128 of nibbles.
 */
function minimumSuperBlocks(codeBits: 4 | 5, first: number, steps: number): BlockFormat {
  const groups = 8;
  const group = 32;
  const largest = 2 ** codeBits - 1;
  const nibblesAt = codeBits === 4 ? 16 : 48;
  const codes = new Uint8Array(BLOCK);
  const trial = new Uint8Array(group);
  const weights = new Float32Array(group);
  const scales = new Float32Array(groups);
  const minima = new Float32Array(groups);
  return {
    numBits: codeBits,
    block: BLOCK,
    blockBytes: nibblesAt + 128,
    group,
    hasMinimum: true,
    algorithm: 'kquant',

    encode(values, at, out, to) {
      let maxScale = 0;
      let maxMinimum = 0;
      for (let j = 0; j < groups; j++) {
        const start = at + group * j;
        let sumX2 = 0;
        for (let i = start; i < start + group; i++) sumX2 = f32(sumX2 + f32(values[i] * values[i]));
        const rms = f32(Math.sqrt(f32(sumX2 / group)));
        for (let i = 0; i < group; i++) weights[i] = rms + Math.abs(values[start + i]);
        const found = searchScaleAndMinimum(
          values,
          start,
          group,
          largest,
          weights,
          first,
          steps,
          codes,
          group * j,
          trial,
        );
        scales[j] = found.scale;
        minima[j] = found.minimum;
        if (found.scale > maxScale) maxScale = found.scale;
        if (found.minimum > maxMinimum) maxMinimum = found.minimum;
      }
      const inverseScale = maxScale > 0 ? f32(63 / maxScale) : 0;
      const inverseMinimum = maxMinimum > 0 ? f32(63 / maxMinimum) : 0;
      for (let j = 0; j < groups; j++) {
        const scale = Math.min(63, nearestInt(f32(inverseScale * scales[j])) & 255);
        const minimum = Math.min(63, nearestInt(f32(inverseMinimum * minima[j])) & 255);
        storeSixBits(out, to + 4, j, scale, minimum);
      }
      const fits = storeHalf(out, to, f32(maxScale / 63));
      if (!storeHalf(out, to + 2, f32(maxMinimum / 63)) || !fits) return false;
      const storedScale = loadHalf(out, to);
      const storedMinimum = loadHalf(out, to + 2);
      for (let j = 0; j < groups; j++) {
        const d = f32(storedScale * loadScale(out, to + 4, j));
        // the codes of the search stay where the scale rounds to 0
        if (!d) continue;
        const minimum = f32(storedMinimum * loadMinimum(out, to + 4, j));
        for (let i = group * j; i < group * (j + 1); i++) {
          const code = nearestInt(f32(f32(values[at + i] + minimum) / d));
          codes[i] = Math.max(0, Math.min(largest, code));
        }
      }
      if (codeBits === 5) out.fill(0, to + 16, to + 48);
      for (let half = 0; half < 4; half++) {
        for (let i = 0; i < 32; i++) {
          const low = codes[64 * half + i];
          const high = codes[64 * half + 32 + i];
          out[to + nibblesAt + 32 * half + i] = (low & 15) | ((high & 15) << 4);
          if (codeBits === 5) out[to + 16 + i] |= ((low >> 4) << (2 * half)) | ((high >> 4) << (2 * half + 1));
        }
      }
      return true;
    },

    decode(bytes, from, out, at) {
      const scale = loadHalf(bytes, from);
      const least = loadHalf(bytes, from + 2);
      for (let j = 0; j < groups; j++) {
        const d = f32(scale * loadScale(bytes, from + 4, j));
        const minimum = f32(least * loadMinimum(bytes, from + 4, j));
        const nibbles = from + nibblesAt + 32 * (j >> 1);
        const shift = 4 * (j & 1);
        for (let i = 0; i < group; i++) {
          const fifth = codeBits === 5 ? ((bytes[from + 16 + i] >> j) & 1) << 4 : 0;
          out[at + group * j + i] = f32(d * (((bytes[nibbles + i] >> shift) & 15) | fifth)) - minimum;
        }
      }
    },
  };
}

/** Scales and minima of six bits in twelve bytes: whole for the first four groups, split for the others. */
function storeSixBits(out: Uint8Array, to: number, j: number, scale: number, minimum: number): void {
  if (j < 4) {
    out[to + j] = scale;
    out[to + j + 4] = minimum;
    return;
  }
  out[to + j + 4] = (scale & 15) | ((minimum & 15) << 4);
  out[to + j - 4] |= (scale >> 4) << 6;
  out[to + j] |= (minimum >> 4) << 6;
}

const loadScale = (bytes: Uint8Array, from: number, j: number): number =>
  j < 4 ? bytes[from + j] & 63 : (bytes[from + j + 4] & 15) | ((bytes[from + j - 4] >> 6) << 4);

const loadMinimum = (bytes: Uint8Array, from: number, j: number): number =>
  j < 4 ? bytes[from + j + 4] & 63 : (bytes[from + j + 4] >> 4) | ((bytes[from + j] >> 6) << 4);

export const Q4_K = minimumSuperBlocks(4, -1, 20);
export const Q5_K = minimumSuperBlocks(5, -0.5, 15);

const q6Codes = new Uint8Array(BLOCK);
const q6Scales = new Float32Array(16);

/**
 * Q6_K: sixteen groups of 16, each with a signed scale of eight bits, which a half float scales. Bytes: 128 of low
 * nibbles, 64 of high pairs of bits, 16 of scales, d.
 */
export const Q6_K: BlockFormat = {
  numBits: 6,
  block: BLOCK,
  blockBytes: 210,
  group: 16,
  hasMinimum: false,
  algorithm: 'kquant',

  encode(values, at, out, to) {
    let maxScale = 0;
    let maxMagnitude = 0;
    for (let j = 0; j < 16; j++) {
      const scale = searchScale(values, at + 16 * j, 16, 32, q6Codes, 16 * j);
      q6Scales[j] = scale;
      if (Math.abs(scale) > maxMagnitude) {
        maxMagnitude = Math.abs(scale);
        maxScale = scale;
      }
    }
    if (maxMagnitude < GROUP_MAX_EPS) {
      out.fill(0, to, to + 210);
      return true;
    }
    const inverse = f32(-128 / maxScale);
    if (!storeHalf(out, to + 208, f32(1 / inverse))) return false;
    const stored = loadHalf(out, to + 208);
    for (let j = 0; j < 16; j++) {
      const code = Math.min(127, nearestInt(f32(inverse * q6Scales[j])));
      out[to + 192 + j] = code;
      const d = f32(stored * ((code << 24) >> 24));
      if (!d) continue;
      for (let i = 16 * j; i < 16 * (j + 1); i++) {
        q6Codes[i] = 32 + Math.max(-32, Math.min(31, nearestInt(f32(values[at + i] / d))));
      }
    }
    for (let half = 0; half < 2; half++) {
      const lowAt = to + 64 * half;
      const highAt = to + 128 + 32 * half;
      for (let i = 0; i < 32; i++) {
        const [a, b, c, d] = [0, 32, 64, 96].map((step) => q6Codes[128 * half + step + i]);
        out[lowAt + i] = (a & 15) | ((c & 15) << 4);
        out[lowAt + 32 + i] = (b & 15) | ((d & 15) << 4);
        out[highAt + i] = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((d >> 4) << 6);
      }
    }
    return true;
  },

  decode(bytes, from, out, at) {
    const scale = loadHalf(bytes, from + 208);
    for (let i = 0; i < BLOCK; i++) {
      const half = i >> 7;
      const quarter = (i >> 5) & 3;
      const low = (bytes[from + 64 * half + 32 * (quarter & 1) + (i & 31)] >> (4 * (quarter >> 1))) & 15;
      const high = (bytes[from + 128 + 32 * half + (i & 31)] >> (2 * quarter)) & 3;
      const groupScale = (bytes[from + 192 + (i >> 4)] << 24) >> 24;
      out[at + i] = f32(scale * groupScale) * ((low | (high << 4)) - 32);
    }
  },
};
