import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Manifest } from '../../src/formats/manifest.js';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { fixture } from '../reference/fixtures.js';
import { largestDifference } from '../runtime/expectations.js';
import { readGolden, rowsOf } from '../runtime/golden-file.js';
import { dequantizedLogits, packages } from '../stages/packages.js';

const made = packages();
const TOLERANCE = 2e-4;
const float: ConvertRequest = { weights: 'f32', embeddings: 'f32', lmHead: 'f32', activations: 'f32' };

const json = (dir: string, file: string) => JSON.parse(readFileSync(join(dir, file), 'utf8'));

for (const [target, name] of [
  ['openvino', 'qwen2-tied'],
  ['vitisai', 'mistral-swa'],
] as const) {
  test(`${target}: ${name} in float32 says what transformers says, in windows of 8`, async () => {
    const golden = readGolden(fixture(`${name}/golden.safetensors`));
    const decoder = await openDecoder(await made.of(name, { target, prefill: 8, ...float }));
    try {
      for (const prefix of ['', 'long.']) {
        const ids = rowsOf(golden.get(`${prefix}input_ids`)!);
        const off = largestDifference(await decoder.logitsOf(ids), golden.get(`${prefix}logits`)!.data as Float32Array);
        assert.ok(off <= TOLERANCE, `${prefix}logits are ${off} off`);
      }
      const [prompt] = rowsOf(golden.get('prompt_ids')!);
      const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
      assert.equal(ids, golden.get('generated')!.data);
    } finally {
      await decoder.close();
    }
  });

  test(`${target}: its default weights say what their own numbers say`, async () => {
    const dir = await made.of('union-1.8m', { target, activations: 'f32', accuracyLevel: 1 });
    const [ids] = rowsOf(readGolden(fixture('union-1.8m/golden.safetensors')).get('input_ids')!);
    const decoder = await openDecoder(dir);
    try {
      const off = largestDifference(await decoder.logitsOf([ids]), await dequantizedLogits(dir, [ids]));
      assert.ok(off <= 5e-4, `logits are ${off} off the dequantized weights`);
    } finally {
      await decoder.close();
    }
  });
}

test('each device gets the weights that it wants', async () => {
  const schemes = async (target: string) => {
    const { tensors } = json(await made.of('union-1.8m', { target, activations: 'f32' }), 'halfbyte.json') as Manifest;
    const matrices = Object.values(tensors['iterator.onnx']).filter(({ role }) => role === 'matrix');
    return matrices.map(({ shape, scheme }) => ({ cols: shape[1], ...scheme }));
  };
  const intel = await schemes('openvino');
  assert.ok(
    intel.length > 0 && intel.every(({ strategy, symmetric, signed }) => strategy === 'channel' && symmetric && signed),
  );
  const amd = await schemes('vitisai');
  for (const { cols, strategy, group_size, symmetric, signed } of amd) {
    assert.equal([symmetric, signed], [false, undefined]);
    // Packed zero points of a row fill their bytes only where the groups are of an even number.
    assert.equal([strategy, group_size], cols % 256 === 0 ? ['group', 128] : ['channel', undefined], `${cols} columns`);
  }
  assert.ok(amd.some(({ strategy }) => strategy === 'group'));
});

test('each device gets the options that its provider takes, and only the layers ask for it', async () => {
  const wanted: Record<string, unknown> = {
    openvino: { device_type: 'NPU' },
    vitisai: { target: 'waic_target_vaiml_cpp_me', xmc_runner_config: '1', no_linear_slice: '1' },
  };
  for (const [target, options] of Object.entries(wanted)) {
    const { model } = json(await made.of('union-1.8m', { target, activations: 'f32' }), 'genai_config.json');
    const stages = Object.assign({}, ...model.decoder.pipeline);
    for (const name of ['context', 'iterator']) {
      assert.equal(stages[name].session_options.provider_options, [{ [target]: options }]);
    }
    for (const name of ['embeddings', 'lm_head']) assert.is(stages[name].session_options, undefined);
  }
});

test.after(() => made.remove());
test.run();
