import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import { convert } from '../../src/stages/convert.js';
import { generate } from '../../src/stages/generate.js';
import { largestDifference } from './expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from './golden-file.js';

/** Another float32 implementation is at most 5e-5 off; the smallest real mistake tried moves logits by 1e-3. */
const TOLERANCE = 2e-4;
const FIXTURES = fileURLToPath(new URL('../../fixtures', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'halfbyte-goldens-'));

async function packageOf(fixture: string, weights: string): Promise<string> {
  const output = join(work, `${fixture}-${weights}`);
  const settings = { output, dryRun: false };
  await convert(join(FIXTURES, fixture), { weights }, settings, () => {}, new AbortController().signal);
  return output;
}

// One of each way that a cache is used: plain, sliding window, rotary outside of the operator, own head_dim with norms.
for (const fixture of ['qwen2-tied', 'mistral-swa', 'llama-hd8', 'qwen3']) {
  test(`${fixture}: prefill, decode and greedy tokens are those of transformers`, async () => {
    const golden = readGolden(join(FIXTURES, fixture, 'golden.safetensors'));
    const tensor = (name: string) => golden.get(name) as GoldenTensor;
    const decoder = await openDecoder(await packageOf(fixture, 'f32'));
    try {
      for (const prefix of ['', 'long.']) {
        const ids = rowsOf(tensor(`${prefix}input_ids`));
        const expected = tensor(`${prefix}logits`).data as Float32Array;
        const all = await decoder.logitsOf(ids);
        assert.ok(largestDifference(all, expected) <= TOLERANCE, `${prefix}logits`);

        const row = ids[0] as number[];
        for (const chunk of [1, 7]) {
          const logits = await decoder.start(4).append(row, { chunk });
          const difference = largestDifference(logits, expected.subarray(0, logits.length));
          assert.ok(difference <= TOLERANCE, `${prefix}logits in chunks of ${chunk}: ${difference} off`);
        }
      }
      const prompt = rowsOf(tensor('prompt_ids'))[0] as number[];
      const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
      assert.equal(ids, tensor('generated').data);
    } finally {
      await decoder.close();
    }
  });
}

test('union-1.8m: the story of the golden, as text, from text', async () => {
  const golden = readGolden(join(FIXTURES, 'union-1.8m', 'golden.safetensors'));
  const story = golden.get('story_generated') as GoldenTensor;
  const prompt = golden.get('story_prompt_ids') as GoldenTensor;
  const dir = await packageOf('union-1.8m', 'f32');
  const pieces: string[] = [];
  const result = await generate({
    package: dir,
    prompt: 'My fellow Americans,',
    greedy: true,
    maxNewTokens: 100,
    onText: (piece) => pieces.push(piece),
  });
  assert.is(result.promptTokens, prompt.data.length);
  assert.equal(result.ids, story.data);
  assert.is(pieces.join(''), result.text);
  const sampled = { package: dir, prompt: 'My fellow Americans,', maxNewTokens: 20, seed: 1 };
  assert.is((await generate(sampled)).sampling.doSample, true, 'generation_config.json says do_sample');
});

test('union-1.8m in int4 writes English', async () => {
  const dir = await packageOf('union-1.8m', 'int4');
  const { text } = await generate({ package: dir, prompt: 'My fellow Americans,', greedy: true, maxNewTokens: 60 });
  assert.match(text as string, /\b(the|of|and|to)\b.*\b(the|of|and|to)\b/s);
});

test.after(() => rmSync(work, { recursive: true }));
test.run();
