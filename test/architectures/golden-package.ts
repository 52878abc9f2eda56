import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { openPackage } from '../../src/formats/package-reader.js';
import { continueText } from '../../src/runtime/continue-text.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largest } from '../../src/runtime/sampler.js';
import { openValueProbe } from '../../src/runtime/value-probe.js';
import { largestDifference } from '../runtime/expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { fixturePath } from './packages.js';

/** Another float32 implementation is at most 5e-5 off; the smallest real mistake tried moves logits by 1e-3. */
const TOLERANCE = 2e-4;

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

/**
 * Holds a float32 package to a fixture's golden: hidden states of each layer, logits in one call and through the cache in
 * pieces of 1 and 7 tokens, greedy tokens.
 */
export async function compareToGolden(dir: string, hiddenStates: string[], fixture: string): Promise<void> {
  const golden = readGolden(join(fixturePath(fixture), 'golden.safetensors'));
  const tensor = (name: string) => golden.get(name) as GoldenTensor;
  await compareHiddenStates(dir, hiddenStates, golden);
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
}
