import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Architecture } from '../../src/core/architecture.js';
import { openPackage } from '../../src/formats/package-reader.js';
import { find } from '../../src/registry.js';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import { openValueProbe } from '../../src/runtime/value-probe.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { writeRandomCheckpoint } from '../random-checkpoint.js';
import { largestDifference } from '../runtime/expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { fixturePath, openForReference, workFolder } from './packages.js';

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

/** The hidden states inside of a package's graph, layer by layer: the first one that is off names the faulty layer. */
async function compareHiddenStates(dir: string, names: string[], golden: Map<string, GoldenTensor>): Promise<void> {
  const probe = await openValueProbe(openPackage(dir), names, { threads: 1 });
  try {
    for (const [row, ids] of rowsOf(golden.get('input_ids') as GoldenTensor).entries()) {
      const values = await probe.prefill(ids);
      for (const [layer, name] of names.entries()) {
        const expected = golden.get(`hidden_states.${layer}`)?.data as Float32Array;
        const data = values.get(name)?.data as Float32Array;
        const off = largestDifference(data, expected.slice(row * data.length, (row + 1) * data.length));
        assert.ok(off <= TOLERANCE, `row ${row}, hidden states ${layer} (${name}) are ${off} off`);
      }
      assert.not.ok(golden.has(`hidden_states.${names.length}`), 'the golden has more layers');
    }
  } finally {
    await probe.close();
  }
}

for (const [fixture, request] of cases) {
  test(`${fixture} ${Object.values(request)}: a package's prefill, decode and greedy tokens are transformers'`, async () => {
    const golden = readGolden(join(fixturePath(fixture), 'golden.safetensors'));
    const tensor = (name: string) => golden.get(name) as GoldenTensor;
    const { dir, plan } = await work.convert(fixturePath(fixture), { weights: 'f32', ...request });
    await compareHiddenStates(dir, plan.graphs[0].graph.hiddenStates, golden);
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

test('the latent cache is two halves, which go in and out as key and value of one head', async () => {
  const { plan } = await work.convert(fixturePath('deepseek-v3'), { weights: 'f32' });
  const { graph } = plan.graphs[0];
  const caches = graph.inputs.filter((each) => each.name.startsWith('past_key_values.'));
  assert.equal(
    caches.map((each) => each.name),
    [0, 1, 2].flatMap((layer) => [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`]),
  );
  for (const { shape } of caches) assert.equal(shape, ['batch_size', 1, 'past_sequence_length', (32 + 16) / 2]);
  const { model, search } = JSON.parse(plan.texts[0].content);
  assert.is(model.type, 'decoder');
  assert.is(model.decoder.num_key_value_heads, 1);
  assert.is(model.decoder.head_size, 24);
  assert.is(search.past_present_share_buffer, false);
});

test('an odd latent width is halved too: both forms say what the reference engine says, call by call', async () => {
  const { example } = (await find('architectures', 'deepseek_v3')) as Architecture;
  const checkpoint = work.path('odd-latent');
  await writeRandomCheckpoint(
    checkpoint,
    { ...example, kv_lora_rank: 15, v_head_dim: 28, first_k_dense_replace: 3, num_nextn_predict_layers: 0 },
    3,
  );
  const reference = await openForReference(checkpoint);
  const ids = Array.from({ length: 12 }, (_, i) => (7 * i + 3) % 60);
  const { logits: expected } = await reference.run(reference.graphs.decoder, [ids]);
  for (const mla of ['latent', 'expanded'] as const) {
    const { dir, plan } = await work.convert(checkpoint, { weights: 'f32', mla });
    const [key, value] = plan.graphs[0].graph.inputs.filter(({ name }) => name.startsWith('past_key_values.0.'));
    assert.equal(key.shape, value.shape);
    const decoder = await openDecoder(dir, { threads: 1 });
    const logits = await decoder.start(4).append(ids, { chunk: 5 });
    assert.ok(largestDifference(logits, expected) <= TOLERANCE, mla);
    await decoder.close();
  }
});

test('the expanded cache holds the keys and values of every head in one shape', async () => {
  const { plan } = await work.convert(fixturePath('deepseek-v3'), { weights: 'f32', mla: 'expanded' });
  const shapes = plan.graphs[0].graph.inputs
    .filter((each) => each.name.startsWith('past_key_values.1.'))
    .map(({ name, shape }) => `${name} ${shape}`);
  assert.equal(shapes, [
    'past_key_values.1.key batch_size,4,past_sequence_length,48',
    'past_key_values.1.value batch_size,4,past_sequence_length,48',
  ]);
});

test.after(() => work.remove());
test.run();
