import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DTYPE_BITS, type Dtype, float32ToBf16 } from '../../src/core/dtype.js';
import type { JsonObject } from '../../src/core/json.js';
import { writeSafetensors } from '../../src/formats/safetensors-writer.js';
import { randomNumbers } from '../random-checkpoint.js';

/** A tensor to write: its bytes, or nothing for seeded weights (BF16, F32) and for zeros (everything else). */
export interface Stored {
  dtype?: Dtype;
  shape: number[];
  data?: Uint8Array;
}

/** Writes a checkpoint of these tensors with this config.json, and further small files by name. */
export function writeCheckpoint(
  dir: string,
  config: JsonObject,
  tensors: Record<string, Stored>,
  files: Record<string, JsonObject> = {},
): string {
  const next = randomNumbers(7);
  mkdirSync(dir, { recursive: true });
  const entries = Object.entries(tensors).map(([name, { dtype = 'BF16', shape, data }]) => {
    const count = shape.reduce((product, each) => product * each, 1);
    const values = Float32Array.from({ length: count }, () => 0.3 * next());
    const seeded = { BF16: Uint16Array.from(values, float32ToBf16), F32: values }[dtype as string];
    const bytes = seeded ? new Uint8Array(seeded.buffer) : new Uint8Array((count * DTYPE_BITS[dtype]) / 8);
    return { name, dtype, shape, data: data ?? bytes };
  });
  writeSafetensors(join(dir, 'model.safetensors'), entries);
  for (const [name, content] of Object.entries({ ...files, 'config.json': config })) {
    writeFileSync(join(dir, name), JSON.stringify(content));
  }
  return dir;
}

/** config.json of a llama of `layers` layers, hidden 64, intermediate 128, 4 heads of 16 and 2 for keys, 96 tokens. */
export const llamaConfig = (layers = 2, more: JsonObject = {}): JsonObject => ({
  model_type: 'llama',
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: layers,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 128,
  rms_norm_eps: 0.00001,
  rope_theta: 10000.5,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  ...more,
});

/** Its matrices by module, [out, in]. */
export const LLAMA_LINEARS: Record<string, [number, number]> = {
  'self_attn.q_proj': [64, 64],
  'self_attn.k_proj': [32, 64],
  'self_attn.v_proj': [32, 64],
  'self_attn.o_proj': [64, 64],
  'mlp.gate_proj': [128, 64],
  'mlp.up_proj': [128, 64],
  'mlp.down_proj': [64, 128],
};

/** Its tensors in BF16; `dress` may store a matrix in other tensors. */
export function llamaTensors(
  layers = 2,
  dress: (module: string, shape: [number, number]) => Record<string, Stored> = (module, shape) => ({
    [`${module}.weight`]: { shape },
  }),
): Record<string, Stored> {
  const tensors: Record<string, Stored> = {
    'model.embed_tokens.weight': { shape: [96, 64] },
    'model.norm.weight': { shape: [64] },
    'lm_head.weight': { shape: [96, 64] },
  };
  for (let layer = 0; layer < layers; layer++) {
    const path = `model.layers.${layer}`;
    for (const norm of ['input_layernorm', 'post_attention_layernorm']) {
      tensors[`${path}.${norm}.weight`] = { shape: [64] };
    }
    for (const [module, shape] of Object.entries(LLAMA_LINEARS))
      Object.assign(tensors, dress(`${path}.${module}`, shape));
  }
  return tensors;
}
