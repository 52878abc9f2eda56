import { type BlockFormat, loadHalf, storeHalf } from './block_scheme.js';

const f32 = Math.fround;
const BLOCK = 32;
const HALF = 16;

/** C's (int8_t)x on x86, where NaN and infinity become 0. */
const toInt8 = (x: number) => ((x | 0) << 24) >> 24;

/** The value of the greatest magnitude, the first of equals. */
function extreme(values: Float32Array, at: number): number {
  let amax = 0;
  let found = 0;
  for (let i = at; i < at + BLOCK; i++) {
    const magnitude = Math.abs(values[i]);
    if (amax < magnitude) {
      amax = magnitude;
      found = values[i];
    }
  }
  return found;
}

/** Low four bits of value j in the low nibble of byte j, those of value j + 16 in the high one. */
const storeNibbles = (out: Uint8Array, to: number, j: number, low: number, high: number) => {
  out[to + j] = (low & 15) | ((high & 15) << 4);
};

/** Fifth bits, that of value j in bit j of 32. */
function storeFifthBits(out: Uint8Array, to: number, bits: number): void {
  for (let i = 0; i < 4; i++) out[to + i] = bits >>> (8 * i);
}

const loadFifthBits = (bytes: Uint8Array, from: number): number =>
  bytes[from] | (bytes[from + 1] << 8) | (bytes[from + 2] << 16) | (bytes[from + 3] << 24);

/** A scale whose negative end is the value of the greatest magnitude; codes are offset by half their number. */
function signedBlocks(bits: 4 | 5): BlockFormat {
  const middle = 2 ** (bits - 1);
  const largest = 2 ** bits - 1;
  const codesAt = bits === 4 ? 2 : 6;
  return {
    numBits: bits,
    block: BLOCK,
    blockBytes: codesAt + HALF,
    group: BLOCK,
    hasMinimum: false,
    algorithm: 'rtn',
    encode(values, at, out, to) {
      const d = f32(extreme(values, at) / -middle);
      const inverse = d ? f32(1 / d) : 0;
      const code = (i: number) => Math.min(largest, toInt8(f32(f32(values[i] * inverse) + middle + 0.5)));
      let fifth = 0;
      for (let j = 0; j < HALF; j++) {
        const low = code(at + j);
        const high = code(at + HALF + j);
        storeNibbles(out, to + codesAt, j, low, high);
        fifth |= (((low & 16) >> 4) << j) | (((high & 16) >> 4) << (j + HALF));
      }
      if (bits === 5) storeFifthBits(out, to + 2, fifth);
      return storeHalf(out, to, d);
    },
    decode(bytes, from, out, at) {
      const d = loadHalf(bytes, from);
      const fifth = bits === 5 ? loadFifthBits(bytes, from + 2) : 0;
      for (let j = 0; j < HALF; j++) {
        const byte = bytes[from + codesAt + j];
        out[at + j] = ((byte & 15) + ((fifth >>> j) & 1) * 16 - middle) * d;
        out[at + HALF + j] = ((byte >> 4) + ((fifth >>> (j + HALF)) & 1) * 16 - middle) * d;
      }
    },
  };
}

/** A scale and a least value. */
function minimumBlocks(bits: 4 | 5): BlockFormat {
  const largest = 2 ** bits - 1;
  const codesAt = bits === 4 ? 4 : 8;
  return {
    numBits: bits,
    block: BLOCK,
    blockBytes: codesAt + HALF,
    group: BLOCK,
    hasMinimum: true,
    algorithm: 'rtn',
    encode(values, at, out, to) {
      let min = values[at];
      let max = values[at];
      for (let i = at; i < at + BLOCK; i++) {
        if (values[i] < min) min = values[i];
        if (values[i] > max) max = values[i];
      }
      const d = f32(f32(max - min) / largest);
      const inverse = d ? f32(1 / d) : 0;
      // q5_1 casts to uint8_t without a bound, which codes up to 31.5 do not need
      const code = (i: number) => Math.min(largest, toInt8(f32(f32(f32(values[i] - min) * inverse) + 0.5)));
      let fifth = 0;
      for (let j = 0; j < HALF; j++) {
        const low = code(at + j);
        const high = code(at + HALF + j);
        storeNibbles(out, to + codesAt, j, low, high);
        fifth |= (((low & 16) >> 4) << j) | (((high & 16) >> 4) << (j + HALF));
      }
      if (bits === 5) storeFifthBits(out, to + 4, fifth);
      const fits = storeHalf(out, to, d);
      return storeHalf(out, to + 2, min) && fits;
    },
    decode(bytes, from, out, at) {
      const d = loadHalf(bytes, from);
      const min = loadHalf(bytes, from + 2);
      const fifth = bits === 5 ? loadFifthBits(bytes, from + 4) : 0;
      for (let j = 0; j < HALF; j++) {
        const byte = bytes[from + codesAt + j];
        out[at + j] = f32(((byte & 15) + ((fifth >>> j) & 1) * 16) * d) + min;
        out[at + HALF + j] = f32(((byte >> 4) + ((fifth >>> (j + HALF)) & 1) * 16) * d) + min;
      }
    },
  };
}

export const Q4_0 = signedBlocks(4);
export const Q5_0 = signedBlocks(5);
export const Q4_1 = minimumBlocks(4);
export const Q5_1 = minimumBlocks(5);

/** Signed bytes, rounded to nearest with halves away from zero. */
export const Q8_0: BlockFormat = {
  numBits: 8,
  block: BLOCK,
  blockBytes: 2 + BLOCK,
  group: BLOCK,
  hasMinimum: false,
  algorithm: 'rtn',
  encode(values, at, out, to) {
    const d = f32(Math.abs(extreme(values, at)) / 127);
    const inverse = d ? f32(1 / d) : 0;
    for (let j = 0; j < BLOCK; j++) {
      const x = f32(values[at + j] * inverse);
      const rounded = Math.floor(Math.abs(x) + 0.5);
      out[to + 2 + j] = toInt8(x < 0 ? -rounded : rounded);
    }
    return storeHalf(out, to, d);
  },
  decode(bytes, from, out, at) {
    const d = loadHalf(bytes, from);
    for (let j = 0; j < BLOCK; j++) out[at + j] = ((bytes[from + 2 + j] << 24) >> 24) * d;
  },
};
