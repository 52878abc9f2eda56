import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convert } from '../../src/stages/convert.js';
import { verify } from '../../src/stages/verify.js';
import { fixture } from '../reference/fixtures.js';
import { copyCheckpoint } from '../verify/faults/tampering.js';
import { packages } from './packages.js';

const made = packages();
const WEIGHTS = { weights: 'f32' };

test('a DeepSeek-V3 without its prediction layer, as transformers writes it, is the same model without mtp.onnx', async () => {
  const original = fixture('deepseek-v3');
  const checkpoint = copyCheckpoint(original, join(made.work, 'without'), (tensors, config) => {
    assert.is(config.num_nextn_predict_layers, 1);
    for (const name of tensors.keys()) if (name.startsWith('model.layers.3.')) tensors.delete(name);
  });
  const notes: string[] = [];
  const output = join(made.work, 'package');
  const settings = { output, dryRun: false, workers: 0 };
  const note = (text: string) => void notes.push(text);
  await convert(checkpoint, WEIGHTS, settings, () => {}, new AbortController().signal, note);
  assert.is(
    notes.filter((text) => /no tensor of model\.layers\.3 is stored: multi-token prediction/.test(text)).length,
    1,
  );
  assert.not(existsSync(join(output, 'mtp.onnx')));
  const whole = await made.of('deepseek-v3', WEIGHTS);
  const logits = (dir: string) => readFileSync(join(dir, 'model.onnx')).includes('hidden_states');
  assert.ok(logits(whole));
  assert.not(logits(output), 'nothing needs the hidden states');
  const request = { gates: [], strict: true, threads: 1, reproduce: '', onProgress: () => {} };
  // the copy has the golden logits of the original
  const report = await verify({ path: output, reference: checkpoint, ...request });
  assert.is(report.verdict, 'pass', report.summary);
  assert.ok(report.checks.some(({ id, verdict }) => id === 'logits input_ids golden' && verdict === 'pass'));
});

test('a layer of which some tensors are missing is an error', async () => {
  const checkpoint = copyCheckpoint(fixture('deepseek-v3'), join(made.work, 'partly'), (tensors) => {
    tensors.delete('model.layers.3.eh_proj.weight');
  });
  const settings = { output: join(made.work, 'none'), dryRun: false, workers: 0 };
  try {
    await convert(checkpoint, WEIGHTS, settings, () => {}, new AbortController().signal);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /model\.layers\.3\.eh_proj\.weight" is missing/);
  }
});

test.after(() => made.remove());
test.run();
