import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { plan } from '../../src/stages/plan.js';
import { quantize } from '../../src/stages/quantize.js';

const work = mkdtempSync(join(tmpdir(), 'halfbyte-grids-'));
const union = fileURLToPath(new URL('../../fixtures/union-1.8m', import.meta.url));

test('a tied table whose codes are kept is stored once, for both ends', async () => {
  const dressed = join(work, 'gguf');
  const settings = { output: dressed, dryRun: false, workers: 0 };
  const request = { layout: 'gguf', weights: 'q4_0' };
  await quantize(union, request, settings, () => {}, new AbortController().signal);
  const { jobs, graphs } = await plan(openCheckpoint(dressed), {});
  const ends = ['model.embed_tokens.weight', 'lm_head.weight'];
  const { weights } = graphs[0].graph;
  assert.equal(weights[ends[0]].scheme, weights[ends[1]].scheme);
  assert.is(jobs.filter(({ name }) => ends.includes(name)).length, 1);
  const matrices = jobs.filter(({ scheme }) => scheme.scheme !== 'f32');
  assert.is(matrices.length, 29);
  assert.ok(matrices.every(({ keepCodes }) => keepCodes));
});

test.after(() => rmSync(work, { recursive: true }));
test.run();
