import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readTokenizerFiles } from '../../src/formats/tokenizer-files.js';
import { textWindows } from '../../src/metrics/math/windows.js';
import perplexity from '../../src/metrics/perplexity.js';
import { servedPositions } from '../../src/model/model.js';
import { openTokenizer } from '../../src/runtime/tokenizer.js';
import { readGolden, rowsOf } from '../runtime/golden-file.js';
import { difference } from './calls.js';
import { fixture, json, openFixture, supportedFixtures } from './fixtures.js';

/** Float32 implementations differ by up to 5e-5 from each other; the smallest wrong switch tried moves logits by 1e-3. */
const BOUND = 2e-4;
const names = await supportedFixtures();

test('there are fixtures with an architecture', () => {
  assert.ok(names.length > 0);
});

for (const name of names) {
  test(`${name}: logits and hidden states are those of transformers`, async () => {
    const golden = readGolden(fixture(`${name}/golden.safetensors`));
    const { graphs, run, model } = await openFixture(name);
    const positions = servedPositions(model.config);
    for (const prefix of ['', 'long.']) {
      if ((golden.get(`${prefix}input_ids`)!.shape.at(-1) as number) > positions) continue;
      const margins: number[] = [];
      const { logits, hiddenStates } = await run(graphs.decoder, rowsOf(golden.get(`${prefix}input_ids`)!), {
        keepHiddenStates: true,
        onRoutingMargin: ({ margin }) => margins.push(margin),
      });
      const off = difference(logits, golden.get(`${prefix}logits`)!.data);
      assert.ok(off <= BOUND, `${prefix}logits are ${off} off`);
      const states = [...golden.keys()].filter((key) => key.startsWith(`${prefix}hidden_states.`));
      if (prefix === '') assert.is(states.length, model.config.num_hidden_layers + 1);
      for (const key of states) {
        const index = Number(key.slice(key.lastIndexOf('.') + 1));
        const expected = golden.get(key)!.data as Float32Array;
        const apart = difference(hiddenStates[index], expected);
        // float32 is coarser where a model divides large states by a factor before its logits (granite)
        const size = Math.sqrt(expected.reduce((sum, each) => sum + each * each, 0) / expected.length);
        assert.ok(apart <= BOUND * Math.max(1, size), `${key} is ${apart} off`);
      }
      // Every decision of the fixtures was made with a margin; a smaller one is another model's decision.
      assert.ok(Math.min(Infinity, ...margins) > 1e-4, `a routing margin of ${Math.min(...margins)}`);
    }
  });
}

/** Perplexity of union-1.8m on its held-out text as ppl.json defines it. */
async function unionPerplexity(count: number): Promise<number> {
  const { graphs, run } = await openFixture('union-1.8m');
  const tokenizer = await openTokenizer(readTokenizerFiles(fixture('union-1.8m'))!, 'union-1.8m');
  const text = readFileSync(fixture('union-1.8m/heldout.txt'), 'utf8');
  const ids = await tokenizer.encodePlain(text);
  assert.is(ids.length, json('union-1.8m/ppl.json').ids_total);
  const { sequences, targets } = textWindows(ids, { length: 256, leading: 0, count });
  const losses: number[] = [];
  let token = 0;
  await run(graphs.decoder, sequences, {
    onLogits: (_sequence, _position, row) => {
      const target = targets[token++];
      if (target >= 0) losses.push(perplexity.position(row, row, target));
    },
  });
  assert.is(losses.length, 255 * count);
  return perplexity.summary(Float64Array.from(losses));
}

test('union-1.8m: perplexity over 64 windows of its held-out text', async () => {
  const measured = await unionPerplexity(64);
  const expected = Number(json('union-1.8m/ppl.json').first_64_windows_ppl);
  assert.ok(Math.abs(measured - expected) < 1e-5, `${measured} is not ${expected}`);
});

test.run();
