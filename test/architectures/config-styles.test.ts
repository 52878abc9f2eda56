import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { largestDifference } from '../runtime/expectations.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { fixturePath, openForReference, workFolder } from './packages.js';

/** Another float32 implementation is at most 5e-5 off; the smallest real mistake tried moves logits by 1e-3. */
const TOLERANCE = 2e-4;
const OLD = 'config.v4.json';
const work = workFolder();
const has = (name: string, file: string) => existsSync(join(fixturePath(name), file));
/** Fixtures whose config.json transformers 5.18 wrote; most have it in the style of transformers 4 as well. */
const names = readdirSync(fixturePath('.')).filter(
  (name) =>
    has(name, 'config.json') &&
    JSON.parse(readFileSync(join(fixturePath(name), 'config.json'), 'utf8')).transformers_version === '5.18.0',
);

test('there are fixtures in both styles', () => {
  assert.ok(names.length >= 9 && names.filter((name) => has(name, OLD)).length >= 8);
});

function styled(name: string, style: string): string {
  const dir = work.path(`${name}-${style}`);
  cpSync(fixturePath(name), dir, { recursive: true });
  if (style === 'v4') copyFileSync(join(dir, OLD), join(dir, 'config.json'));
  return dir;
}

/** Holds a float32 package to every stored set that it has the positions for. */
async function holds(name: string, checkpoint: string, request: ConvertRequest, chunks: number[]): Promise<void> {
  const golden = readGolden(join(fixturePath(name), 'golden.safetensors'));
  const { dir } = await work.convert(checkpoint, { weights: 'f32', embeddings: 'f32', lmHead: 'f32', ...request });
  const decoder = await openDecoder(dir, { threads: 1 });
  let held = 0;
  try {
    for (const prefix of ['', 'long.']) {
      const ids = rowsOf(golden.get(`${prefix}input_ids`) as GoldenTensor);
      if (ids[0].length > decoder.contextLength) continue;
      held++;
      const expected = golden.get(`${prefix}logits`)?.data as Float32Array;
      const off = largestDifference(await decoder.logitsOf(ids), expected);
      assert.ok(off <= TOLERANCE, `${prefix}logits are ${off} off`);
      for (const chunk of chunks) {
        const logits = await decoder.start(4).append(ids[0], { chunk });
        const apart = largestDifference(logits, expected.subarray(0, logits.length));
        assert.ok(apart <= TOLERANCE, `${prefix}logits in chunks of ${chunk} are ${apart} off`);
      }
    }
  } finally {
    await decoder.close();
  }
  assert.ok(held > 0, 'the package serves none of the stored sets');
}

for (const name of names) {
  for (const style of has(name, OLD) ? ['v5', 'v4'] : ['v5']) {
    test(`${name}, config of ${style}: a package's logits are transformers'`, async () => {
      await holds(name, styled(name, style), {}, style === 'v5' ? [1, 7] : []);
    });
  }

  test(`${name}: a pipeline's logits are transformers'`, async () => {
    const { graphs } = await openForReference(fixturePath(name));
    // devices of pipelines run no experts
    if (graphs.decoder.nodes.some(({ op }) => op === 'Experts' || op === 'LatentAttention')) return;
    await holds(name, fixturePath(name), { target: 'qnn', activations: 'f32', prefill: 16 }, []);
  });
}

test.after(() => work.remove());
test.run();
