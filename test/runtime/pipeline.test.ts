import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import klDivergence from '../../src/metrics/kl_divergence.js';
import { continueText } from '../../src/runtime/continue-text.js';
import type { Decoder } from '../../src/runtime/decoder.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import { calibrate } from '../../src/stages/calibrate.js';
import { convert } from '../../src/stages/convert.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { fixture } from '../reference/fixtures.js';
import { largestDifference, rejects } from './expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from './golden-file.js';

/** Another float32 implementation is at most 5e-5 off; the smallest real mistake tried moves logits by 1e-3. */
const TOLERANCE = 2e-4;
const FLOAT: ConvertRequest = { weights: 'f32', embeddings: 'f32', lmHead: 'f32', activations: 'f32' };
const work = mkdtempSync(join(tmpdir(), 'halfbyte-pipeline-'));
let count = 0;

/** Converts a fixture for qnn, opens it beside its golden, and closes it. */
async function withPipeline(
  name: string,
  request: ConvertRequest,
  run: (decoder: Decoder, golden: (tensor: string) => GoldenTensor) => Promise<void>,
  calibration?: string,
): Promise<void> {
  const output = join(work, `package-${count++}`);
  const settings = { output, dryRun: false, workers: 0, calibration };
  await convert(fixture(name), { target: 'qnn', ...request }, settings, () => {}, new AbortController().signal);
  const tensors = readGolden(fixture(`${name}/golden.safetensors`));
  const decoder = await openDecoder(output);
  try {
    await run(decoder, (tensor) => tensors.get(tensor) as GoldenTensor);
  } finally {
    await decoder.close();
    rmSync(output, { recursive: true });
  }
}

// Every fixture, every window and both forms of attention meet; "bench/pipeline.ts exact" runs all of their products.
const EXACT: [name: string, prefill: number, attention: 'npu' | 'gqa'][] = [
  ['llama-gqa', 3, 'npu'],
  ['llama-gqa', 64, 'gqa'],
  ['llama-hd8', 4, 'gqa'],
  ['llama-linear-v5cfg', 8, 'npu'],
  ['mistral-swa', 3, 'npu'],
  ['mistral-swa', 24, 'gqa'],
  ['qwen2-tied', 24, 'npu'],
  ['qwen2-untied', 64, 'npu'],
  ['qwen2-window', 8, 'gqa'],
  ['qwen3', 8, 'npu'],
  ['phi3', 4, 'npu'],
  ['gemma2', 3, 'npu'],
  ['union-1.8m', 64, 'npu'],
];
for (const [name, prefill, attention] of EXACT) {
  test(`${name} in float32, windows of ${prefill}, attention ${attention}: what transformers says`, () =>
    withPipeline(name, { ...FLOAT, prefill, attention }, async (decoder, golden) => {
      for (const prefix of ['', 'long.']) {
        const logits = await decoder.logitsOf(rowsOf(golden(`${prefix}input_ids`)));
        const off = largestDifference(logits, golden(`${prefix}logits`).data as Float32Array);
        assert.ok(off <= TOLERANCE, `${prefix}logits are ${off} off`);
      }
      const [prompt] = rowsOf(golden('prompt_ids'));
      const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
      assert.equal(ids, golden('generated').data);
    }));
}

/** Mean KL that int8 weights and uint16 activations may cost. Random weights amplify rounding; the other is trained. */
const MOST: Record<string, number> = { 'union-1.8m': 3e-3 };
for (const name of [
  'llama-gqa',
  'llama-hd8',
  'mistral-swa',
  'qwen2-tied',
  'qwen3',
  'gemma2',
  'cohere2',
  'nemotron',
  'ministral3',
  'union-1.8m',
]) {
  test(`${name} in uint16 with int8 weights: close to transformers on tokens that it was not calibrated on`, async () => {
    const file = join(work, `${name}.safetensors`);
    // Few tokens of another kind than the tested ones: the prompt of the golden and what follows it.
    const golden = readGolden(fixture(`${name}/golden.safetensors`));
    const ids = [...(golden.get('prompt_ids')!.data as number[]), ...(golden.get('generated')!.data as number[])];
    writeFileSync(join(work, 'ids.json'), JSON.stringify([ids]));
    await calibrate(fixture(name), { output: file, idsFile: join(work, 'ids.json') });
    const request: ConvertRequest = { weights: 'int8', embeddings: 'f32', lmHead: 'f32' };
    await withPipeline(
      name,
      request,
      async (decoder, tensor) => {
        for (const prefix of ['', 'long.']) {
          const logits = await decoder.logitsOf(rowsOf(tensor(`${prefix}input_ids`)));
          const expected = tensor(`${prefix}logits`).data as Float32Array;
          const kl = klDivergence.measure(expected, logits, decoder.vocabSize);
          assert.ok(kl < (MOST[name] ?? 1e-2), `mean KL of ${prefix}logits is ${kl}`);
        }
      },
      file,
    );
  });
}

test('float16 activations and weights stay within float16 of transformers, in both forms of attention', async () => {
  const half: ConvertRequest = { weights: 'f16', embeddings: 'f16', lmHead: 'f16', activations: 'f16' };
  for (const attention of ['npu', 'gqa'] as const) {
    await withPipeline('qwen3', { ...half, attention }, async (decoder, golden) => {
      const logits = await decoder.logitsOf(rowsOf(golden('input_ids')));
      const kl = klDivergence.measure(golden('logits').data as Float32Array, logits, decoder.vocabSize);
      assert.ok(kl < 2e-4, `${attention}: mean KL is ${kl}`);
    });
  }
});

test('windows, single tokens and what is taken back give one and the same, to the last position', () =>
  withPipeline('qwen3', { ...FLOAT, prefill: 8, contextLength: 40 }, async (decoder, golden) => {
    const ids = (golden('long.input_ids').data as number[]).slice(0, 40);
    const [whole] = [await decoder.logitsOf([ids])];
    const row = (index: number) => whole.subarray(index * decoder.vocabSize, (index + 1) * decoder.vocabSize);
    assert.is(decoder.contextLength, 40);

    const mixed = decoder.start();
    await mixed.append(ids.slice(0, 5));
    await mixed.append(ids.slice(5, 6));
    await mixed.append([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    mixed.truncate(6);
    assert.is(mixed.length, 6);
    // From 6 on windows of 8 end at 38: the last two tokens go one by one.
    const last = await mixed.append(ids.slice(6), { logits: 'last' });
    assert.ok(largestDifference(last, row(39)) <= TOLERANCE);
    await rejects(mixed.append([1]), InvalidInputError, /context of 40/);

    const steps = decoder.start();
    for (const [index, id] of ids.slice(0, 12).entries()) {
      assert.ok(largestDifference(await steps.append([id]), row(index)) <= TOLERANCE, `token ${index}`);
    }
  }));

test.after(() => rmSync(work, { recursive: true }));
test.run();
