/** Families held to transformers' goldens (fixtures/goldens.py): float32 packages, both styles of config, integers, NPUs. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { verify } from '../../src/stages/verify.js';
import { largestDifference } from '../runtime/expectations.js';
import { readGolden, rowsOf } from '../runtime/golden-file.js';
import { compareToGolden } from './golden-package.js';
import { fixturePath, openForReference, workFolder } from './packages.js';

const TOLERANCE = 2e-4;
const work = workFolder();

const configOf = (name: string, file: string): JsonObject =>
  JSON.parse(readFileSync(join(fixturePath(name), file), 'utf8'));

/** Folders with a config in the style of transformers 4 beside that of 5. */
const families = readdirSync(fixturePath('.'), { withFileTypes: true })
  .filter((each) => each.isDirectory() && existsSync(join(fixturePath(each.name), 'config.v4.json')))
  .map(({ name }) => name);

/** A fixture with another config. */
function withConfig(name: string, config: JsonObject): string {
  const dir = work.path(`${name}-checkpoint`);
  mkdirSync(dir);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  symlinkSync(join(fixturePath(name), 'model.safetensors'), join(dir, 'model.safetensors'));
  return dir;
}

for (const name of families) {
  test(`${name}: a package's hidden states, prefill, decode and greedy tokens are transformers'`, async () => {
    const { dir, plan } = await work.convert(fixturePath(name), { weights: 'f32' });
    await compareToGolden(dir, plan.graphs[0].graph.hiddenStates, name);
  });

  test(`${name}: the config of transformers 4 draws the same graph from the same weights`, async () => {
    const [newer, older] = await Promise.all([
      openForReference(fixturePath(name)),
      openForReference(withConfig(name, configOf(name, 'config.v4.json'))),
    ]);
    assert.equal(older.graphs, newer.graphs);
  });

  for (const weights of ['int8', 'int4']) {
    test(`${name}: verify passes a package in ${weights}`, async () => {
      const { dir } = await work.convert(fixturePath(name), { weights });
      const settings = { gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {} };
      const report = await verify({ path: dir, reference: fixturePath(name), ...settings });
      const failed = report.checks.filter((each) => each.verdict !== 'pass').map((each) => each.message);
      assert.is(report.verdict, 'pass', failed.join('\n'));
    });
  }
}

const FLOAT: ConvertRequest = { target: 'qnn', weights: 'f32', embeddings: 'f32', lmHead: 'f32', activations: 'f32' };

// interleaved pairs, a part of them, LayerNorm with and without shift, layers without rotation, a norm over all heads
for (const name of ['ernie4_5', 'glm4', 'cohere2', 'starcoder2', 'phi', 'olmo3']) {
  test(`${name}: so are the logits of a pipeline of static graphs`, async () => {
    const { dir } = await work.convert(fixturePath(name), { ...FLOAT, prefill: 8 });
    const decoder = await openDecoder(dir, { threads: 1 });
    try {
      const golden = readGolden(join(fixturePath(name), 'golden.safetensors'));
      const expected = golden.get('long.logits')!.data as Float32Array;
      const off = largestDifference(await decoder.logitsOf(rowsOf(golden.get('long.input_ids')!)), expected);
      assert.ok(off <= TOLERANCE, `${off} off`);
    } finally {
      await decoder.close();
    }
  });
}

test('families were found', () => assert.ok(families.length > 10));

test.after(() => work.remove());
test.run();
