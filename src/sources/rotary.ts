import type { RotaryTable } from '../core/weights.js';

/**
 * Rows [from, from + count) of a rotary table, as transformers computes them in float32 (modeling_rope_utils.py): the
 * angle is the float32 product of position and float32 inverse frequency, its cosine or sine rounds to float32, and so
 * does the product with the attention factor.
 */
export function fillRotary(table: RotaryTable, from: number, count: number, out: Float32Array): void {
  const frequencies = Float32Array.from(table.inverse_frequencies);
  const factor = Math.fround(table.attention_factor);
  const wave = table.part === 'cos' ? Math.cos : Math.sin;
  let at = 0;
  for (let position = from; position < from + count; position++) {
    for (const frequency of frequencies) {
      out[at++] = Math.fround(wave(Math.fround(frequency * position))) * factor;
    }
  }
}
