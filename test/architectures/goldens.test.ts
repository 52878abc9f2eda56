import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { largestDifference } from '../runtime/expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { fixturePath, workFolder } from './packages.js';

/** Another float32 implementation is at most 5e-5 off; the smallest real mistake tried moves logits by 1e-3. */
const TOLERANCE = 2e-4;
const work = workFolder();

const cases: [fixture: string, request: ConvertRequest][] = [
  ['deepseek-v2-lite', { mla: 'latent' }],
  ['deepseek-v2-lite', { mla: 'expanded' }],
  ['deepseek-v3', { mla: 'latent' }],
  ['deepseek-v3', { mla: 'expanded' }],
  ['deepseek-v3-fp8', {}],
  ['mixtral', {}],
  ['qwen3-moe', {}],
  ['phi3', {}],
  ['gemma2', {}],
];

for (const [fixture, request] of cases) {
  test(`${fixture} ${Object.values(request)}: a package's prefill, decode and greedy tokens are transformers'`, async () => {
    const golden = readGolden(join(fixturePath(fixture), 'golden.safetensors'));
    const tensor = (name: string) => golden.get(name) as GoldenTensor;
    const { dir } = await work.convert(fixturePath(fixture), { weights: 'f32', ...request });
    const decoder = await openDecoder(dir, { threads: 1 });
    try {
      for (const prefix of ['', 'long.']) {
        const ids = rowsOf(tensor(`${prefix}input_ids`));
        const expected = tensor(`${prefix}logits`).data as Float32Array;
        const off = largestDifference(await decoder.logitsOf(ids), expected);
        assert.ok(off <= TOLERANCE, `${prefix}logits are ${off} off`);
        for (const chunk of [1, 7]) {
          const logits = await decoder.start(4).append(ids[0], { chunk });
          const apart = largestDifference(logits, expected.subarray(0, logits.length));
          assert.ok(apart <= TOLERANCE, `${prefix}logits in chunks of ${chunk} are ${apart} off`);
        }
      }
      const prompt = rowsOf(tensor('prompt_ids'))[0];
      const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
      assert.equal(ids, tensor('generated').data);
    } finally {
      await decoder.close();
    }
  });
}

test('the latent cache is one tensor a layer, key and value in one', async () => {
  const { plan } = await work.convert(fixturePath('deepseek-v3'), { weights: 'f32' });
  const { graph } = plan.graphs[0];
  const caches = graph.inputs.filter((each) => each.name.startsWith('past_key_values.'));
  assert.equal(
    caches.map((each) => each.name),
    ['past_key_values.0.key', 'past_key_values.1.key', 'past_key_values.2.key'],
  );
  for (const { shape } of caches) assert.equal(shape, ['batch_size', 1, 'past_sequence_length', 32 + 16]);
  const { decoder } = JSON.parse(plan.texts[0].content).model;
  assert.is(decoder.num_key_value_heads, 1);
  assert.is(decoder.head_size, 48);
});

test('the expanded cache holds the keys and values of every head', async () => {
  const { plan } = await work.convert(fixturePath('deepseek-v3'), { weights: 'f32', mla: 'expanded' });
  const shapes = plan.graphs[0].graph.inputs
    .filter((each) => each.name.startsWith('past_key_values.1.'))
    .map(({ name, shape }) => `${name} ${shape}`);
  assert.equal(shapes, [
    'past_key_values.1.key batch_size,4,past_sequence_length,48',
    'past_key_values.1.value batch_size,4,past_sequence_length,24',
  ]);
});

test.after(() => work.remove());
test.run();
