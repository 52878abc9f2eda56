import { test } from 'uvu';
import * as assert from 'uvu/assert';
import klDivergence from '../../src/metrics/kl_divergence.js';
import { continueText } from '../../src/runtime/continue-text.js';
import type { Decoder } from '../../src/runtime/decoder.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { fixture } from '../reference/fixtures.js';
import { largestDifference } from '../runtime/expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { dequantizedLogits, packages } from './packages.js';

/** Another float32 implementation is at most 5e-5 off; the smallest real mistake tried moves logits by 1e-3. */
const TOLERANCE = 2e-4;
const DENSE = [
  'llama-gqa',
  'llama-hd8',
  'llama-linear-v5cfg',
  'mistral-swa',
  'qwen2-tied',
  'qwen2-untied',
  'qwen2-window',
  'qwen3',
  'union-1.8m',
];
const BATCHES = ['', 'long.'];
const made = packages();

/** Opens a package of a fixture beside the fixture's golden. */
async function withPackage(
  name: string,
  request: ConvertRequest,
  run: (decoder: Decoder, golden: (tensor: string) => GoldenTensor, dir: string) => Promise<void>,
): Promise<void> {
  const tensors = readGolden(fixture(`${name}/golden.safetensors`));
  const dir = await made.of(name, request);
  const decoder = await openDecoder(dir);
  try {
    await run(decoder, (tensor) => tensors.get(tensor) as GoldenTensor, dir);
  } finally {
    await decoder.close();
  }
}

for (const name of DENSE) {
  test(`${name} in f32: logits, decode and greedy tokens are those of transformers`, () =>
    withPackage(name, { weights: 'f32' }, async (decoder, golden) => {
      for (const prefix of BATCHES) {
        const ids = rowsOf(golden(`${prefix}input_ids`));
        const expected = golden(`${prefix}logits`).data as Float32Array;
        const prefill = await decoder.logitsOf(ids);
        const off = largestDifference(prefill, expected);
        assert.ok(off <= TOLERANCE, `${prefix}logits are ${off} off`);
        const decoded = await decoder.start(ids[0].length).append(ids[0], { chunk: 1 });
        const apart = largestDifference(decoded, prefill.subarray(0, decoded.length));
        assert.ok(apart <= TOLERANCE, `${prefix}decode is ${apart} off prefill`);
      }
      const [prompt] = rowsOf(golden('prompt_ids'));
      const { ids } = await continueText(decoder, prompt, { sampler: largest, maxNewTokens: 16, stopIds: [] });
      assert.equal(ids, golden('generated').data);
    }));
}

/** Whether a package's logits are what its own numbers give in full precision. */
async function expectOwnLogits(
  name: string,
  request: ConvertRequest,
  also: (prefix: string, expected: Float32Array, actual: Float32Array, width: number) => void = () => {},
): Promise<void> {
  await withPackage(name, request, async (decoder, golden, dir) => {
    for (const prefix of BATCHES) {
      const ids = rowsOf(golden(`${prefix}input_ids`));
      const actual = await decoder.logitsOf(ids);
      const off = largestDifference(actual, await dequantizedLogits(dir, ids));
      assert.ok(off <= TOLERANCE, `${prefix}logits are ${off} off the dequantized weights`);
      also(prefix, golden(`${prefix}logits`).data as Float32Array, actual, decoder.vocabSize);
    }
  });
}

for (const name of DENSE) {
  test(`${name} in int8: what its own numbers say, and close to transformers`, () => {
    // Random weights amplify rounding: their divergence proves structure, not quality.
    const limit = name === 'union-1.8m' ? 2e-3 : 1e-2;
    return expectOwnLogits(name, { weights: 'int8', accuracyLevel: 1 }, (prefix, expected, actual, width) => {
      const kl = klDivergence.measure(expected, actual, width);
      assert.ok(kl < limit, `mean KL of ${prefix}logits is ${kl}`);
    });
  });

  test(`${name} in int4, groups of 32: what its own numbers say, symmetric and asymmetric`, async () => {
    const int4: ConvertRequest = { weights: 'int4', groupSize: '32', accuracyLevel: 0 };
    await expectOwnLogits(name, int4);
    await expectOwnLogits(name, { ...int4, asymmetric: true });
  });
}

// One tied and one untied model; union's last group is full, qwen3's is padded.
for (const name of ['qwen2-untied', 'qwen3', 'union-1.8m']) {
  test(`${name} in int4 with float16 scales: what its own numbers say`, async () => {
    const half: ConvertRequest = { weights: 'int4', accuracyLevel: 0, scales: 'f16' };
    await expectOwnLogits(name, half);
    await expectOwnLogits(name, { ...half, asymmetric: true, groupSize: '16' });
  });
}

test.after(() => made.remove());
test.run();
