/**
 * Writes a checkpoint with the shapes of a published model and seeded weights, sharded as such checkpoints are, as fast
 * as the disk takes it:
 *
 *   node --import tsx scripts/synthesize-checkpoint.ts qwen2-1.5b -o /tmp/qwen2-1.5b [--layers n] [--experts n]
 *        [--seed n] [--shard-size 5GB] [--headers-only]
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DTYPE_BITS, float32ToBf16 } from '../src/core/dtype.js';
import type { JsonObject } from '../src/core/json.js';
import { parseSize } from '../src/engine/memory.js';
import { layoutSafetensors } from '../src/formats/safetensors-writer.js';
import { SHAPES, type ShapedTensor, tensorsOf } from './synthesize/shapes.js';

export interface SynthesizeOptions {
  layers?: number | undefined;
  experts?: number | undefined;
  seed?: number | undefined;
  /** Bytes of a shard at most, unless one tensor is larger. */
  shardSize?: number | undefined;
  /** Files of full length that hold nothing but headers and take no room: enough for a plan. */
  headersOnly?: boolean | undefined;
}

/** Bytes of noise that all tensors are cut from, each at its own place. */
const BLOCK = 8 << 20;

/** Writes the checkpoint; returns the bytes of its weights. */
export function synthesizeCheckpoint(shape: string, dir: string, options: SynthesizeOptions = {}): number {
  const { seed = 1, shardSize = 5e9, headersOnly = false } = options;
  const published = SHAPES[shape];
  if (!published) throw new Error(`unknown shape ${shape}; known are ${Object.keys(SHAPES).join(', ')}`);
  const config: JsonObject = { ...published };
  if (options.layers !== undefined) {
    config.num_hidden_layers = options.layers;
    if (config.max_window_layers !== undefined) config.max_window_layers = options.layers;
  }
  if (options.experts !== undefined && config.n_routed_experts !== undefined) {
    config.n_routed_experts = options.experts;
  }
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  const { bos_token_id, eos_token_id } = config;
  writeFileSync(join(dir, 'generation_config.json'), `${JSON.stringify({ bos_token_id, eos_token_id }, null, 2)}\n`);

  const shards = splitIntoShards(tensorsOf(config), shardSize);
  const noise = new Noise(seed);
  const weight_map: Record<string, string> = {};
  let total = 0;
  for (const [index, tensors] of shards.entries()) {
    const number = (value: number) => String(value).padStart(5, '0');
    const name =
      shards.length === 1 ? 'model.safetensors' : `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    const { header, places } = layoutSafetensors(tensors);
    const descriptor = openSync(join(dir, name), 'w');
    writeSync(descriptor, header, 0, header.byteLength, 0);
    for (const tensor of tensors) {
      const place = places.get(tensor.name);
      if (!place) throw new Error(`${tensor.name} has no place`);
      if (!headersOnly) noise.write(tensor, descriptor, place.offset, place.nbytes);
      weight_map[tensor.name] = name;
      total += place.nbytes;
    }
    const ends = [...places.values()].map(({ offset, nbytes }) => offset + nbytes);
    if (headersOnly) ftruncateSync(descriptor, Math.max(...ends));
    closeSync(descriptor);
  }
  if (shards.length > 1) {
    const index = { metadata: { total_size: total }, weight_map };
    writeFileSync(join(dir, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
  }
  return total;
}

const bytesOf = ({ dtype, shape }: ShapedTensor) =>
  (shape.reduce((product, each) => product * each, 1) * DTYPE_BITS[dtype]) / 8;

/** As transformers does: a new shard where the next tensor would make this one too large. */
function splitIntoShards(tensors: ShapedTensor[], shardSize: number): ShapedTensor[][] {
  const shards: ShapedTensor[][] = [[]];
  let size = 0;
  for (const tensor of tensors) {
    if (size > 0 && size + bytesOf(tensor) > shardSize) {
      shards.push([]);
      size = 0;
    }
    shards[shards.length - 1].push(tensor);
    size += bytesOf(tensor);
  }
  return shards;
}

/** Seeded noise of each kind of tensor. Large tensors repeat one block from places that differ by tensor and by turn. */
class Noise {
  readonly #blocks = new Map<string, Uint8Array>();
  #state: number;
  #turn = 0;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e3779b9) ^ 0x85ebca6b) >>> 0 || 1;
  }

  write(tensor: ShapedTensor, descriptor: number, offset: number, nbytes: number): void {
    const block = this.#block(tensor);
    for (let done = 0; done < nbytes; ) {
      // A step that is prime to the block's length: no two stretches begin at the same place for long.
      const start = (Math.imul(this.#turn++, 1_048_583) >>> 0) % (BLOCK / 8);
      const count = Math.min(BLOCK / 2, nbytes - done);
      done += writeSync(descriptor, block, start * 4, count, offset + done);
    }
  }

  #block({ dtype, values }: ShapedTensor): Uint8Array {
    const key = `${dtype} ${values}`;
    const known = this.#blocks.get(key);
    if (known) return known;
    const block = new Uint8Array(BLOCK);
    const view = new DataView(block.buffer);
    for (let at = 0; at < BLOCK; at += DTYPE_BITS[dtype] / 8) {
      const normal = this.#normal();
      const value =
        values === 'norm' ? 1 + 0.05 * normal : values === 'scale' ? 2e-4 * (1 + 0.1 * normal) : 0.02 * normal;
      if (dtype === 'BF16') view.setUint16(at, float32ToBf16(value), true);
      else if (dtype === 'F32') view.setFloat32(at, value, true);
      // E4M3 codes up to about 240 of 448, as a cast with scales by the largest value leaves most of them.
      else block[at] = Math.min(0x77, Math.floor(Math.abs(normal) * 40)) | (normal < 0 ? 0x80 : 0);
    }
    this.#blocks.set(key, block);
    return block;
  }

  #uniform(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) / 2 ** 32;
  }

  /** Box-Muller. */
  #normal(): number {
    return Math.sqrt(-2 * Math.log(this.#uniform() + 2 ** -33)) * Math.cos(2 * Math.PI * this.#uniform());
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      output: { type: 'string', short: 'o' },
      layers: { type: 'string' },
      experts: { type: 'string' },
      seed: { type: 'string' },
      'shard-size': { type: 'string' },
      'headers-only': { type: 'boolean' },
    },
  });
  if (positionals.length !== 1 || !values.output) {
    console.error(`usage: synthesize-checkpoint <${Object.keys(SHAPES).join('|')}> -o <directory>`);
    process.exit(2);
  }
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const started = performance.now();
  const total = synthesizeCheckpoint(positionals[0], values.output, {
    layers: number(values.layers),
    experts: number(values.experts),
    seed: number(values.seed),
    shardSize: values['shard-size'] === undefined ? undefined : parseSize(values['shard-size']),
    headersOnly: values['headers-only'],
  });
  const seconds = (performance.now() - started) / 1000;
  console.log(`${values.output}: ${(total / 1e9).toFixed(2)} GB, ${(total / 1e6 / seconds).toFixed(0)} MB/s`);
}
