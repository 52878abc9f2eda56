import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SHAPES, tensorsOf } from '../../scripts/synthesize/shapes.js';
import { synthesizeCheckpoint } from '../../scripts/synthesize-checkpoint.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { plan } from '../../src/stages/plan.js';
import { workFolder } from './packages.js';

const work = workFolder();
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Bytes of an int4 package's weights: half a byte a value and a float32 scale for 32 of them; vectors are float32. */
function int4Bytes(shape: string): number {
  let nbytes = 0;
  for (const { shape: dims } of tensorsOf(SHAPES[shape])) {
    const [rows, cols] = dims;
    nbytes += dims.length === 1 ? 4 * rows : (rows * Math.ceil(cols / 32) * 32) / 2 + 4 * rows * Math.ceil(cols / 32);
  }
  return nbytes;
}

for (const [shape, billions] of [
  ['r1-distill-qwen-1.5b', 1.78],
  ['qwen2-7b', 7.62],
  ['qwen2-14b', 14.77],
] as const) {
  test(`${shape}: plans ${billions} billion parameters and int4 sizes to the byte, from headers`, async () => {
    const dir = work.path(shape);
    synthesizeCheckpoint(shape, dir, { headersOnly: true });
    const { totals, files } = await plan(openCheckpoint(dir), { weights: 'int4' });
    assert.is((totals.parameters / 1e9).toFixed(2), billions.toFixed(2));
    assert.is(totals.weightBytes, int4Bytes(shape));
    const [{ nbytes }] = files;
    assert.ok(nbytes >= totals.weightBytes && nbytes < 1.02 * totals.weightBytes + 2 * 131072 * 64 * 4, `${nbytes}`);
  });
}

test('deepseek-v3: 91,000 tensors plan in seconds and below 300 MB', () => {
  const dir = work.path('deepseek-v3');
  synthesizeCheckpoint('deepseek-v3', dir, { headersOnly: true });
  const { weight_map } = JSON.parse(readFileSync(join(dir, 'model.safetensors.index.json'), 'utf8'));
  const tensors = Object.keys(weight_map).length;
  assert.ok(tensors > 90_000 && tensors < 92_500, `${tensors} tensors`);

  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--require', join(root, 'test/architectures/peak-memory.cjs'), 'bin/run.js'].concat([
      'convert',
      dir,
      '-o',
      work.path('package'),
      '--dry-run',
    ]),
    { cwd: root, encoding: 'utf8' },
  );
  const seconds = (performance.now() - started) / 1000;
  assert.is(status, 0, stderr);
  // 671 billion of the model, and the prediction layer with its own copies of embedding and head
  assert.match(stdout, /684\.49 billion parameters/);
  assert.match(stdout, /QMoE 58/);
  assert.match(stdout, /mtp\.onnx\.data/);
  const peak = Number(/peak (\d+)/.exec(stderr)?.[1]);
  assert.ok(peak < 300e6, `${(peak / 1e6).toFixed(0)} MB`);
  assert.ok(seconds < 30, `${seconds.toFixed(1)} s`);
});

test.after(() => work.remove());
test.run();
