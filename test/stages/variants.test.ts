import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { logicalTensors } from '../../src/model/logical-tensors.js';
import { openModel } from '../../src/model/model.js';
import { evaluate } from '../../src/reference/evaluate.js';
import { storedWeights } from '../../src/reference/stored-weights.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { convert } from '../../src/stages/convert.js';
import { randomNumbers, writeRandomCheckpoint } from '../random-checkpoint.js';

const base: JsonObject = {
  vocab_size: 96,
  hidden_size: 48,
  intermediate_size: 80,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};
const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 };

/** Corners of the families that no fixture has: what is lowered must say what is drawn. */
const variants: Record<string, JsonObject> = {
  'llama with biases everywhere': { model_type: 'llama', attention_bias: true, mlp_bias: true },
  'llama with one key head for each query head': { model_type: 'llama', num_key_value_heads: 4 },
  'llama with heads of 12': { model_type: 'llama', head_dim: 12 },
  'llama with heads of 20, one key head, tied': {
    model_type: 'llama',
    head_dim: 20,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
  },
  'llama with yarn and an attention factor': { model_type: 'llama', rope_scaling: { ...yarn, attention_factor: 1.3 } },
  'qwen2 with yarn': { model_type: 'qwen2', head_dim: 16, rope_scaling: yarn },
  'qwen2 with layer_types': {
    model_type: 'qwen2',
    use_sliding_window: true,
    sliding_window: 5,
    layer_types: ['sliding_attention', 'full_attention'],
  },
  'mistral without a window, heads of 32': { model_type: 'mistral', sliding_window: null, head_dim: 32 },
  'mistral with heads of 8': { model_type: 'mistral', sliding_window: 6, head_dim: 8 },
  'qwen3 with biases and heads of 24': { model_type: 'qwen3', head_dim: 24, attention_bias: true },
  'llama with gelu': { model_type: 'llama', hidden_act: 'gelu_pytorch_tanh' },
};

const next = randomNumbers(7);
const ids = Array.from({ length: 2 }, () => Array.from({ length: 21 }, () => Math.floor((next() + 1) * 48)));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-variants-'));

for (const [name, settings] of Object.entries(variants)) {
  test(`${name}: the package says what the drawing says, at once and token by token`, async () => {
    const dir = join(work, name.replace(/\W+/g, '-'));
    await writeRandomCheckpoint(join(dir, 'checkpoint'), { ...base, ...settings }, 3);
    const checkpoint = openCheckpoint(join(dir, 'checkpoint'));
    const { architecture, config } = await openModel(checkpoint);
    const graph = architecture.build(config, { contextLength: 64 });
    const files = new InputFiles();
    const { logits: expected } = await evaluate(
      graph,
      storedWeights(graph, await logicalTensors(checkpoint), files),
      ids,
    );
    files.close();
    const output = join(dir, 'package');
    const settingsOfRun = { output, dryRun: false };
    await convert(checkpoint.dir, { weights: 'f32' }, settingsOfRun, () => {}, new AbortController().signal);
    const decoder = await openDecoder(output);
    try {
      const worst = (actual: Float32Array) =>
        actual.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index])), 0);
      const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assert.ok(scale > 0.5, 'logits are not all small');
      assert.ok(worst(await decoder.logitsOf(ids)) < 2e-5 * scale, 'prefill');
      assert.ok(worst(await decoder.start().append(ids[0], { chunk: 1 })) < 2e-5 * scale, 'token by token');
    } finally {
      await decoder.close();
    }
  });
}

test.after(() => rmSync(work, { recursive: true }));
test.run();
