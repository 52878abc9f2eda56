/** Families held to goldens of transformers 5.18 (fixtures/goldens.py): every layer of a float32 package, and integers. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ids } from '../../src/registry.js';
import { verify } from '../../src/stages/verify.js';
import { compareToGolden } from './golden-package.js';
import { fixturePath, workFolder } from './packages.js';

const work = workFolder();

/** Folders that are named after their family and hold the config of transformers 4 as well; granite's is older. */
const families = ids('architectures').filter(
  (name) => name !== 'granite' && existsSync(join(fixturePath(name), 'config.v4.json')),
);

for (const name of families) {
  test(`${name}: a package's hidden states, prefill, decode and greedy tokens are transformers'`, async () => {
    const { dir, plan } = await work.convert(fixturePath(name), { weights: 'f32' });
    await compareToGolden(dir, plan.graphs[0].graph.hiddenStates, name);
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

test('families were found', () => assert.ok(families.length > 10));

test.after(() => work.remove());
test.run();
