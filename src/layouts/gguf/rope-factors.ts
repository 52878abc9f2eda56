import type { ContainedTensor } from '../../core/dressing.js';
import { InvalidInputError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import { type Llama3Rope, llama3Factors } from '../../core/rope-factors.js';

/** Tensors of factors by which llama.cpp divides rotary frequencies: those of llama3 and of longrope. */
export function ropeFactorTensors(config: JsonObject): ContainedTensor[] {
  const rope = config.rope_parameters as JsonObject;
  if (rope.rope_type === 'llama3')
    return [
      vector(
        'rope_freqs.weight',
        llama3Factors(rope as unknown as Llama3Rope, config.rope_theta as number, config.head_dim as number),
      ),
    ];
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
