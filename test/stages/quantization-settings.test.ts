import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { rejects } from '../rejects.js';
import { dressingRoom, valuesOf } from './checkpoints.js';
import { llamaConfig, llamaTensors, type Stored, writeCheckpoint } from './written-checkpoint.js';

const room = dressingRoom();
let count = 0;
const write = (config: JsonObject, tensors: Record<string, Stored>, files: Record<string, JsonObject> = {}) =>
  writeCheckpoint(join(room.work, `in-${count++}`), config, tensors, files);
const PLAIN = { layout: 'plain', weights: 'f32' };

/** GPTQ as AutoGPTQ stores it, symmetric, groups of 32. */
const gptq = (bias?: number) =>
  llamaTensors(2, (module, [rows, cols]) => {
    const zeros = new Uint8Array(((cols / 32) * rows) / 2).fill(0x77);
    const index = Int32Array.from({ length: cols }, (_, column) => Math.floor(column / 32));
    const filled = {
      dtype: 'F32' as const,
      data: new Uint8Array(Float32Array.from({ length: rows }, () => bias ?? 0).buffer),
    };
    return {
      [`${module}.qweight`]: { dtype: 'I32', shape: [cols / 8, rows] },
      [`${module}.qzeros`]: { dtype: 'I32', shape: [cols / 32, rows / 8], data: zeros },
      [`${module}.scales`]: { dtype: 'BF16', shape: [cols / 32, rows] },
      [`${module}.g_idx`]: { dtype: 'I32', shape: [cols], data: new Uint8Array(index.buffer) },
      ...(bias === undefined ? {} : { [`${module}.bias`]: { ...filled, shape: [rows] } }),
    };
  });
const GPTQ = { bits: 4, group_size: 32, desc_act: false, sym: true, true_sequential: true };

test('settings beside config.json are read, and not taken over; codes without any are refused', async () => {
  const inside = write(llamaConfig(2, { quantization_config: { quant_method: 'gptq', ...GPTQ } }), gptq());
  const beside = write(llamaConfig(), gptq(), { 'quantize_config.json': GPTQ });
  const { dir } = await room.quantize(beside, PLAIN);
  assert.match(room.notes.join(), /taken from quantize_config\.json/);
  assert.not.ok(existsSync(join(dir, 'quantize_config.json')));
  assert.equal(await valuesOf(beside), await valuesOf(inside));
  await rejects(
    room.quantize(write(llamaConfig(), gptq()), PLAIN),
    InvalidInputError,
    /I32 codes beside scales/,
    /quantize_config/,
  );
  const modelopt = { 'hf_quant_config.json': { quantization: { quant_algo: 'FP8' } } };
  await rejects(
    room.quantize(write(llamaConfig(), gptq(), modelopt), PLAIN),
    InvalidInputError,
    /modelopt.*no known layout/,
  );
});

test('biases of zeros that a packer adds are passed over, others refused', async () => {
  const config = llamaConfig(2, { quantization_config: { quant_method: 'gptq', ...GPTQ } });
  const { tensors } = await room.quantize(write(config, gptq(0)), PLAIN);
  assert.not.ok(tensors.some(({ name }) => name.endsWith('.bias')));
  assert.match(room.notes.join(), /biases of zeros/);
  await rejects(room.quantize(write(config, gptq(0.5)), PLAIN), InvalidInputError, /\.bias".*no use/);
});

test('keys: what tools write is taken, what is not known and says something is refused by name', async () => {
  const read = (settings: JsonObject) =>
    room.quantize(write(llamaConfig(2, { quantization_config: { quant_method: 'gptq', ...settings } }), gptq()), PLAIN);
  await read({
    ...GPTQ,
    format: 'gptq',
    method: 'gptq',
    pack_dtype: 'int32',
    meta: { quantizer: ['gptqmodel:5'] },
    lm_head: false,
  });
  await read({ ...GPTQ, autoround_version: '0.12.3', iters: 200, rotation: null, heard_of: false });
  await rejects(read({ ...GPTQ, rotation: 'hadamard' }), InvalidInputError, /rotation is "hadamard"/);
  await rejects(read({ ...GPTQ, is_marlin_format: true }), InvalidInputError, /is_marlin_format is true/);
  await rejects(read({ ...GPTQ, format: 'marlin' }), InvalidInputError, /checkpoint_format is "marlin"/);
});

/** int8 codes by groups of 32, as compressed-tensors stores W4A8, and how its config calls them. */
const int8 = (extra: Record<string, Stored> = {}) => ({
  ...llamaTensors(2, (module, [rows, cols]) => ({
    [`${module}.weight`]: { dtype: 'I8', shape: [rows, cols], data: new Uint8Array(rows * cols).fill(3) },
    [`${module}.weight_scale`]: { shape: [rows, cols / 32] },
  })),
  ...extra,
});
const scheme = (more: JsonObject = {}, top: JsonObject = {}): JsonObject => ({
  quant_method: 'compressed-tensors',
  format: 'int-quantized',
  config_groups: {
    group_0: {
      targets: ['Linear'],
      weights: {
        num_bits: 4,
        type: 'int',
        strategy: 'group',
        group_size: 32,
        symmetric: true,
        dynamic: false,
        ...more,
      },
      input_activations: { num_bits: 8, type: 'int', strategy: 'token', dynamic: true, symmetric: true },
    },
  },
  ...top,
});
const compressed = (settings: JsonObject, extra?: Record<string, Stored>) =>
  room.quantize(write(llamaConfig(2, { quantization_config: settings }), int8(extra)), PLAIN);

test('compressed_tensors: W4A8 is read, its activations and the scales of a cache are told of', async () => {
  await compressed(scheme({}, { kv_cache_scheme: { num_bits: 8, type: 'float' } }), {
    'model.layers.0.self_attn.k_scale': { shape: [1] },
    'model.layers.0.self_attn.v_proj.v_scale': { shape: [1] },
  });
  const notes = room.notes.join('\n');
  assert.match(notes, /int8 dynamic/);
  assert.match(notes, /kv_cache_scheme is passed over/);
  assert.match(notes, /k_scale", "model\.layers\.0\.self_attn\.v_proj\.v_scale/);
});

test('compressed_tensors: a transform of activations is refused, one of weights alone is in the weights', async () => {
  const transform = (...locations: string[]): JsonObject => ({
    transform_config: {
      config_groups: { R: { type: 'hadamard', apply: locations.map((location) => ({ location })) } },
    },
  });
  await compressed(scheme({}, transform('weight_input', 'weight_output')));
  await rejects(
    compressed(scheme({}, transform('weight_input', 'input'))),
    InvalidInputError,
    /transform_config.*"input"/,
  );
  await rejects(compressed(scheme({ rotated: true })), InvalidInputError, /weights\.rotated is true/);
  await rejects(compressed(scheme({}, { format: 'marlin-24' })), InvalidInputError, /format is "marlin-24"/);
});

test('deepseek_fp8: sizes that are no multiple of 128 are told of', async () => {
  await room.quantize(write(llamaConfig(), llamaTensors()), { layout: 'deepseek_fp8' });
  assert.match(room.notes.join(), /blocks at the edge are smaller.*transformers/);
});

test.after(room.remove);
test.run();
