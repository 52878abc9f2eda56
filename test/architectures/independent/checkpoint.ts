import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../../../src/formats/safetensors-writer.js';
import type { Matrix } from './float64.js';

/** The float32 tensors of a checkpoint as float64 numbers. */
export interface Tensors {
  has(name: string): boolean;
  matrix(name: string): Matrix;
  vector(name: string): number[];
}

/** Repeatable numbers from a normal distribution: Box and Muller over Park and Miller's generator. */
function normal(count: number, seed: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/**
 * Writes a checkpoint of random float32 tensors: matrices with deviation 1/sqrt(columns), so that activations keep their
 * size, vectors around `gain`, biases (and what corrects a router) around 0.
 */
export function writeRandomCheckpoint(
  dir: string,
  config: object,
  shapes: Record<string, number[]>,
  gain: number,
): Tensors {
  const values = new Map<string, Float32Array>();
  Object.entries(shapes).forEach(([name, shape], index) => {
    const count = shape.reduce((product, each) => product * each, 1);
    const [spread, centre] =
      shape.length === 2 ? [1 / Math.sqrt(shape[1]), 0] : [0.2, name.endsWith('bias') ? 0 : gain];
    values.set(
      name,
      normal(count, 1000 + index).map((value) => centre + spread * value),
    );
  });
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  writeSafetensors(
    join(dir, 'model.safetensors'),
    [...values].map(([name, data]) => ({ name, dtype: 'F32', shape: shapes[name], data: new Uint8Array(data.buffer) })),
  );
  const matrix = (name: string): Matrix => {
    const data = values.get(name);
    if (!data) throw new Error(`the checkpoint has no ${name}`);
    const cols = shapes[name].at(-1) as number;
    return Array.from({ length: data.length / cols }, (_, row) => [...data.subarray(row * cols, (row + 1) * cols)]);
  };
  return { has: (name) => values.has(name), matrix, vector: (name) => matrix(name)[0] };
}

/** Shapes of the tensors of a decoder as most families store it; `norms` are the layer's vectors by name. */
export function decoderShapes(
  config: Record<string, number>,
  norms: Record<string, number>,
  tied: boolean,
): Record<string, number[]> {
  const { vocab_size: vocabulary, hidden_size: hidden, intermediate_size: inner } = config;
  const size = config.head_dim ?? hidden / config.num_attention_heads;
  const [q, kv] = [config.num_attention_heads * size, config.num_key_value_heads * size];
  const shapes: Record<string, number[]> = { 'model.embed_tokens.weight': [vocabulary, hidden] };
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    shapes[`${path}.self_attn.q_proj.weight`] = [q, hidden];
    shapes[`${path}.self_attn.k_proj.weight`] = [kv, hidden];
    shapes[`${path}.self_attn.v_proj.weight`] = [kv, hidden];
    shapes[`${path}.self_attn.o_proj.weight`] = [hidden, q];
    shapes[`${path}.mlp.gate_proj.weight`] = [inner, hidden];
    shapes[`${path}.mlp.up_proj.weight`] = [inner, hidden];
    shapes[`${path}.mlp.down_proj.weight`] = [hidden, inner];
    for (const [name, width] of Object.entries(norms)) shapes[`${path}.${name}.weight`] = [width];
  }
  shapes['model.norm.weight'] = [hidden];
  if (!tied) shapes['lm_head.weight'] = [vocabulary, hidden];
  return shapes;
}
