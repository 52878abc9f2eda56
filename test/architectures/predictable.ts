import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { widen } from '../../src/core/dtype.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { readTensor } from '../../src/formats/safetensors.js';
import { writeSafetensors } from '../../src/formats/safetensors-writer.js';

/**
 * Writes a DeepSeek-V3 checkpoint whose multi-token prediction is often right, which random weights never are: layers
 * add `strength` times what they did, so that the next token depends mostly on the last one, and the prediction layer
 * takes embedding, final norm and head of the model and passes the embedding through.
 */
export function writePredictableCheckpoint(from: string, dir: string, strength: number): void {
  const { tensors, config } = openCheckpoint(from);
  const last = `model.layers.${config.num_hidden_layers}`;
  const copies: Record<string, string> = {
    [`${last}.embed_tokens.weight`]: 'model.embed_tokens.weight',
    [`${last}.shared_head.norm.weight`]: 'model.norm.weight',
    [`${last}.shared_head.head.weight`]: 'lm_head.weight',
  };
  const written = [...tensors.keys()].map((name) => {
    const ref = tensors.get(copies[name] ?? name);
    if (!ref) throw new Error(`${from} has no ${copies[name]}`);
    const values = new Float32Array(ref.shape.reduce((product, each) => product * each, 1));
    widen(ref.dtype, readTensor(ref), values);
    if (name === `${last}.enorm.weight`) values.fill(1);
    if (/\.(o_proj|down_proj)\.weight$/.test(name)) values.set(values.map((value) => strength * value));
    if (name === `${last}.eh_proj.weight`) {
      const [rows, cols] = ref.shape;
      values.fill(0);
      for (let row = 0; row < rows; row++) values[row * cols + row] = 1;
    }
    return { name, dtype: 'F32' as const, shape: ref.shape, data: new Uint8Array(values.buffer) };
  });
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  writeSafetensors(join(dir, 'model.safetensors'), written);
}
