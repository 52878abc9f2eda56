import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '../src/core/json.js';
import type { WeightSource } from '../src/core/weights.js';
import { writeSafetensors } from '../src/formats/safetensors-writer.js';
import { find } from '../src/registry.js';

/** Numbers in [-1, 1), the same for the same seed everywhere (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

/** The tensor that a weight is, or is but for a constant. */
function storedName(source: WeightSource): string | undefined {
  if (typeof source === 'string') return source;
  return 'plus' in source ? storedName(source.plus) : undefined;
}

/** Writes a checkpoint of seeded float32 weights for a config whose weights are all stored under their own names. */
export async function writeRandomCheckpoint(dir: string, config: JsonObject, seed: number): Promise<void> {
  const architecture = await find('architectures', config.model_type as string);
  if (!architecture) throw new Error(`no architecture ${config.model_type}`);
  const graph = architecture.build(architecture.parseConfig(config), { contextLength: 64 });
  const next = randomNumbers(seed);
  const tensors = Object.values(graph.weights)
    .map(({ source, shape }) => ({ name: storedName(source), shape }))
    .filter((each): each is { name: string; shape: number[] } => each.name !== undefined)
    .map(({ name, shape }) => {
      const isNorm = /norm/.test(name);
      const count = shape.reduce((product, each) => product * each, 1);
      const spread = isNorm ? 0.1 : 0.3;
      const values = Float32Array.from({ length: count }, () => (isNorm ? 1 : 0) + spread * next());
      return { name, dtype: 'F32' as const, shape, data: new Uint8Array(values.buffer) };
    });
  mkdirSync(dir, { recursive: true });
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
}
