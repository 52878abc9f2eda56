import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import { find } from '../../src/registry.js';
import { byKernel, byTwin, matrices, sameAsTwin, stored } from './twin.js';

const vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/layouts/gguf-blocks.json', import.meta.url), 'utf8'),
) as { cases: string[]; values: string; types: Record<string, { bytes: string }> };
const values = new Float32Array(Uint8Array.from(Buffer.from(vectors.values, 'base64')).buffer);

for (const id of ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q4_k', 'q5_k', 'q6_k']) {
  test(`${id}: the kernel gives ggml's bytes`, async () => {
    const { defaults } = (await find('schemes', id))!;
    const packed = await byKernel(stored('F32', vectors.cases.length, 256, values), defaults);
    assert.equal(packed, { codes: Uint8Array.from(Buffer.from(vectors.types[id].bytes, 'base64')) });
  });

  for (const dtype of ['BF16', 'F32', 'F16'] as Dtype[]) {
    test(`${id} from ${dtype}: equals the twin, refusals included`, async () => {
      const { defaults } = (await find('schemes', id))!;
      await fc.assert(
        fc.asyncProperty(matrices(dtype, 3, fc.constantFrom(1, 31, 32, 75, 256, 300)), async (matrix) => {
          await sameAsTwin(matrix, defaults);
        }),
        { numRuns: 60 },
      );
    });
  }

  test(`${id}: a scale beyond a half float is refused where the twin refuses it`, async () => {
    const { defaults } = (await find('schemes', id))!;
    const large = new Float32Array(512).fill(0.5);
    large[300] = 3e13;
    large[299] = -2e13;
    const matrix = stored('F32', 2, 256, large);
    assert.equal(await byKernel(matrix, defaults), await byTwin(matrix, defaults));
  });
}

test.run();
