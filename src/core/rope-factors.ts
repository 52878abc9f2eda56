const f32 = Math.fround;

/** Settings of the rope type "llama3". */
export interface Llama3Rope {
  factor: number;
  low_freq_factor: number;
  high_freq_factor: number;
  original_max_position_embeddings: number;
}

/**
 * Numbers by which rotary frequencies are divided, for each of dim / 2 pairs, in float32 as llama.cpp's converter
 * computes them (conversion/llama.py, generate_extra_tensors).
 */
export function llama3Factors(rope: Llama3Rope, theta: number, dim: number): number[] {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: length } = rope;
  return Array.from({ length: dim / 2 }, (_, i) => {
    const frequency = f32(1 / f32(theta ** f32((2 * i) / dim)));
    const wavelength = f32(f32(2 * Math.PI) / frequency);
    if (wavelength < length / high) return 1;
    if (wavelength > length / low) return factor;
    const smooth = f32(f32(f32(length / wavelength) - low) / (high - low));
    return f32(1 / f32(f32(f32(1 - smooth) / factor) + smooth));
  });
}

/** YaRN's factor on cosines and sines for a scale of positions (transformers: get_mscale). */
export function yarnMagnitude(scale: number, mscale = 1): number {
  return scale <= 1 ? 1 : 0.1 * mscale * Math.log(scale) + 1;
}
