import { InvalidInputError } from '../../core/errors.js';
import type { ContainedTensor, JsonObject } from '../../core/types.js';

const f32 = Math.fround;

/** Tensors of factors by which llama.cpp divides rotary frequencies: those of llama3 and of longrope. */
export function ropeFactorTensors(config: JsonObject): ContainedTensor[] {
  const rope = config.rope_parameters as JsonObject;
  if (rope.rope_type === 'llama3') return [vector('rope_freqs.weight', llama3Factors(rope, config.head_dim as number))];
  if (rope.rope_type !== 'longrope') return [];
  const factors = (key: string) => {
    const values = rope[key];
    if (Array.isArray(values) && values.every((each) => typeof each === 'number')) return values as number[];
    throw new InvalidInputError(
      `config.json: "${key}" of the rope is no list of numbers.`,
      'download config.json again.',
    );
  };
  return [
    vector('rope_factors_long.weight', factors('long_factor')),
    vector('rope_factors_short.weight', factors('short_factor')),
  ];
}

const vector = (name: string, values: number[]): ContainedTensor => ({
  name,
  shape: [values.length],
  rows: 1,
  cols: values.length,
  content: { values },
});

/** As llama.cpp's converter computes them in float32 (conversion/llama.py, generate_extra_tensors). */
function llama3Factors(rope: JsonObject, dim: number): number[] {
  const number = (key: string) => rope[key] as number;
  const factor = number('factor');
  const [low, high, length] = [
    number('low_freq_factor'),
    number('high_freq_factor'),
    number('original_max_position_embeddings'),
  ];
  return Array.from({ length: dim / 2 }, (_, i) => {
    const frequency = f32(1 / f32(number('rope_theta') ** f32((2 * i) / dim)));
    const wavelength = f32(f32(2 * Math.PI) / frequency);
    if (wavelength < length / high) return 1;
    if (wavelength > length / low) return factor;
    const smooth = f32(f32(f32(length / wavelength) - low) / (high - low));
    return f32(1 / f32(f32(f32(1 - smooth) / factor) + smooth));
  });
}
