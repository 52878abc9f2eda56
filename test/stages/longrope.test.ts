import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { plan } from '../../src/stages/plan.js';
import { verify } from '../../src/stages/verify.js';
import { fixturePath } from '../architectures/packages.js';
import { dressingRoom } from './checkpoints.js';

const longrope = fixturePath('phi3-longrope');
const room = dressingRoom();

test('a package serves the original length where nothing is asked for, and says so', async () => {
  const notes: string[] = [];
  const planned = await plan(openCheckpoint(longrope), {}, undefined, (text) => notes.push(text));
  assert.is(planned.options.contextLength, 128);
  assert.ok(notes.some((text) => text.includes('serves 128 positions, the model 1024')));
  notes.length = 0;
  const shorter = await plan(openCheckpoint(longrope), { contextLength: 64 }, undefined, (text) => notes.push(text));
  assert.is(shorter.options.contextLength, 64);
  assert.equal(notes, []);
  const error = await plan(openCheckpoint(longrope), { contextLength: 256 }).catch((each: Error) => each);
  assert.match((error as Error).message, 'beyond 128');
});

test('a quantized checkpoint is verified within the original length', async () => {
  const { dir } = await room.quantize(longrope, { layout: 'mlx', groupSize: '32' });
  const settings = { gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {} };
  const report = await verify({ path: dir, reference: longrope, ...settings });
  assert.is(report.verdict, 'pass', report.summary);
  assert.ok(report.comparisons.some(({ set, referee }) => set === 'long.input_ids' && referee === 'golden'));
});

test.after(() => room.remove());
test.run();
