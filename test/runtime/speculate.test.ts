import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import { endOfTextIds, openPackage } from '../../src/formats/package-reader.js';
import { openMainGraph } from '../../src/runtime/cached-decoder.js';
import { BUILDER_NAMES, openCachedGraph } from '../../src/runtime/cached-graph.js';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import { openSpeculativeDecoder } from '../../src/runtime/speculate.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { generate } from '../../src/stages/generate.js';
import { fixturePath, workFolder } from '../architectures/packages.js';
import { writePredictableCheckpoint } from '../architectures/predictable.js';
import { largestDifference, rejects } from './expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from './golden-file.js';

const TOLERANCE = 2e-4;
const work = workFolder();
const HIDDEN = 'hidden_states';

for (const fixture of ['deepseek-v3', 'deepseek-v3-fp8']) {
  for (const mla of ['latent', 'expanded'] as const) {
    test(`${fixture} ${mla}: mtp.onnx predicts what transformers' layers predict`, async () => {
      const golden = readGolden(join(fixturePath(fixture), 'golden.safetensors'));
      const floats = (name: string) => (golden.get(name) as GoldenTensor).data as Float32Array;
      const { dir } = await work.convert(fixturePath(fixture), { weights: 'f32', mla });
      const opened = openPackage(dir);
      const model = await openMainGraph(opened, { threads: 1 });
      const draft = await openCachedGraph(opened, 'mtp.onnx', { ...BUILDER_NAMES, extra: [HIDDEN] }, { threads: 1 });
      try {
        const batch = rowsOf(golden.get('input_ids') as GoldenTensor);
        for (const [row, ids] of batch.entries()) {
          const results = await model.step(model.startCache(ids.length, 64), ids, { fetches: [HIDDEN] });
          const states = results[HIDDEN].data as Float32Array;
          const expectedStates = floats('hidden_states.3');
          const each = states.length;
          const off = largestDifference(states, expectedStates.slice(row * each, (row + 1) * each));
          assert.ok(off <= TOLERANCE, `hidden states are ${off} off`);

          const [count, width] = [ids.length - 1, states.length / ids.length];
          const expected = floats('mtp_logits').subarray(row * count * 256, (row + 1) * count * 256);
          for (const chunk of [count, 1, 5]) {
            const cache = draft.startCache(count, 64);
            const logits: number[] = [];
            for (let from = 0; from < count; from += chunk) {
              const to = Math.min(count, from + chunk);
              const fed = new draft.ort.Tensor('float32', states.slice(from * width, to * width), [
                1,
                to - from,
                width,
              ]);
              const answer = await draft.step(cache, ids.slice(from + 1, to + 1), { feeds: { [HIDDEN]: fed } });
              logits.push(...draft.logits(answer));
            }
            const apart = largestDifference(Float32Array.from(logits), expected);
            assert.ok(apart <= TOLERANCE, `predictions in chunks of ${chunk} are ${apart} off`);
          }
        }
      } finally {
        await model.close();
        await draft.close();
      }
    });
  }
}

const prompts = [
  [7],
  [200, 100, 50, 25, 12, 6, 3],
  // longer than one call of the model takes in
  Array.from({ length: 300 }, (_, i) => (i * i + 5) % 256),
];

/** Continues every prompt with and without drafts; the texts must be equal. Returns drafted and accepted tokens. */
async function compare(dir: string, maxNewTokens = 40): Promise<{ drafted: number; accepted: number }> {
  let [drafted, accepted] = [0, 0];
  const opened = openPackage(dir);
  const decoder = await openDecoder(opened, { threads: 1 });
  const speculative = await openSpeculativeDecoder(opened, { threads: 1 });
  const stopIds = endOfTextIds(opened.genai);
  try {
    for (const ids of prompts) {
      const plain = await continueText(decoder, ids, { sampler: largest, maxNewTokens, stopIds });
      const told: number[] = [];
      const result = await speculative.continueText(ids, {
        sampler: largest,
        maxNewTokens,
        stopIds,
        onToken: (id) => void told.push(id),
      });
      assert.equal(result.ids, plain.ids);
      assert.equal(told, plain.ids);
      assert.is(result.stopReason, plain.stopReason);
      const { counts } = result;
      const promptCalls = Math.ceil(ids.length / 128);
      // every call yields a token, or two where it accepted a draft, which may be the end of the text
      const least = promptCalls - 1 + plain.ids.length - counts.acceptedTokens;
      assert.ok(counts.modelCalls >= least && counts.modelCalls <= least + 1, `${counts.modelCalls} calls`);
      drafted += counts.draftedTokens;
      accepted += counts.acceptedTokens;
    }
  } finally {
    await decoder.close();
    await speculative.close();
  }
  return { drafted, accepted };
}

// Integer weights with float32 activations: rounded to int8, those turn noise of 1e-5 between calls of one and of two
// tokens into 0.1, and neither text is the right one at a near-tie.
for (const request of [
  { weights: 'f32', mla: 'latent' },
  { weights: 'f32', mla: 'expanded' },
  { weights: 'int4', accuracyLevel: 1 },
] as ConvertRequest[]) {
  const name = Object.values(request).join(' ');
  test(`${name}: with drafts that the model refuses the text stays that of greedy decoding`, async () => {
    const { dir } = await work.convert(fixturePath('deepseek-v3'), request);
    const { drafted } = await compare(dir);
    assert.ok(drafted > 50, `${drafted} drafts`);
  });

  test(`${name}: and with drafts that it often takes, in fewer calls`, async () => {
    const checkpoint = work.path(`predictable ${name}`);
    writePredictableCheckpoint(fixturePath('deepseek-v3'), checkpoint, 0.03);
    const { dir } = await work.convert(checkpoint, request);
    const { drafted, accepted } = await compare(dir);
    assert.ok(accepted > 0.2 * drafted && accepted < drafted, `${accepted} of ${drafted} accepted`);
  });
}

test('generate tells how well drafting did', async () => {
  const { dir } = await work.convert(fixturePath('deepseek-v3'), { weights: 'f32' });
  const told: string[] = [];
  const request = { package: dir, ids: prompts[1], greedy: true, maxNewTokens: 20, threads: 1 };
  const plain = await generate(request);
  const result = await generate({ ...request, speculate: 'mtp', onText: (piece) => void told.push(piece) });
  assert.equal(result.ids, plain.ids);
  assert.is(plain.speculation, null);
  const { acceptanceRate, draftedTokens, acceptedTokens } = result.speculation!;
  assert.ok(draftedTokens > 0);
  assert.is(acceptanceRate, acceptedTokens / draftedTokens);
  assert.ok((result.tokensPerSecond as number) > 0);
  assert.is(told.join('').split(',').length, result.newTokens - (result.stopReason === 'eos' ? 1 : 0));
});

test('one or two tokens, and the end of the context, need no draft', async () => {
  const { dir } = await work.convert(fixturePath('deepseek-v3'), { weights: 'f32', contextLength: 310 });
  const { drafted } = await compare(dir, 1);
  assert.is(drafted, 0);
  await compare(dir, 2);
  const result = await generate({ package: dir, ids: prompts[2], greedy: true, maxNewTokens: 60, speculate: 'mtp' });
  assert.is(result.stopReason, 'context');
  assert.is(result.newTokens, 10);
});

test('a package without mtp.onnx, and sampling, are usage errors', async () => {
  const request = { ids: [1, 2], greedy: true, speculate: 'mtp' as const };
  const { dir } = await work.convert(fixturePath('mixtral'), { weights: 'int4' });
  await rejects(generate({ package: dir, ...request }), UsageError, /has no mtp\.onnx, so nothing can draft/);
  const { dir: deepseek } = await work.convert(fixturePath('deepseek-v3'), { weights: 'int4' });
  const sampled = generate({ package: deepseek, ids: [1, 2], temperature: 0.7, speculate: 'mtp' });
  await rejects(sampled, UsageError, /these settings sample \(temperature 0\.7\)/);
});

test.after(() => work.remove());
test.run();
