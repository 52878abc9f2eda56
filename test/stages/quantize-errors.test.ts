import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import type { QuantizeReport } from '../../src/core/quantize-report.js';
import type { CheckpointManifest } from '../../src/formats/manifest.js';
import { ErrorSums } from '../../src/metrics/math/error-sums.js';
import { merge } from '../../src/stages/merge.js';
import { describeQuantize, type QuantizeSettings } from '../../src/stages/quantize.js';
import { parseQuantizeGate } from '../../src/stages/quantize-gates.js';
import { moduleOf } from '../../src/stages/quantize-report.js';
import { writeRandomCheckpoint } from '../random-checkpoint.js';
import { fixture } from '../reference/fixtures.js';
import { dressingRoom, valuesOf } from './checkpoints.js';

const room = dressingRoom();
const LLAMA = fixture('llama-gqa');
const int4 = { layout: 'gptq', groupSize: '32' } as const;
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const whenMerged = (dir: string, gates: string[], reports: string[] = []) =>
  merge(dir, { workers: 0, gates, reports }, () => {}, new AbortController().signal);

function refused(work: () => unknown, ...patterns: RegExp[]): void {
  try {
    work();
  } catch (error) {
    assert.instance(error, UsageError);
    for (const pattern of patterns) assert.match((error as UsageError).report, pattern);
    return;
  }
  assert.unreachable('was not refused');
}

test('figures are those of the written checkpoint read back, in report, manifest and table', async () => {
  const { dir, report, ...result } = await room.quantize(LLAMA, int4);
  assert.ok(report);
  const [before, after] = [await valuesOf(LLAMA), await valuesOf(dir)];
  const manifest: CheckpointManifest = json(join(dir, 'halfbyte.json'));
  let rounded = 0;
  for (const tensor of report.tensors) {
    const plain = new ErrorSums().add(before.get(tensor.name)!, after.get(tensor.name)!);
    if (tensor.fate === 'rounds') {
      rounded++;
      assert.ok(Math.abs(tensor.sqnrDb! - plain.sqnrDb) < 1e-4, `${tensor.name}: ${tensor.sqnrDb}, ${plain.sqnrDb}`);
      assert.ok(Math.abs(tensor.cosine! - plain.cosine) < 1e-7);
      assert.ok(Math.abs(tensor.maxAbsError! - plain.greatest) < 1e-7);
      assert.ok(tensor.saturated! > 0 && tensor.saturated! < tensor.weights / 20, `${tensor.saturated}`);
      const { errors } = manifest.tensors.find(({ name }) => name === tensor.name)!;
      assert.is(errors?.sqnrDb, tensor.sqnrDb);
    } else {
      assert.ok(tensor.exact && plain.sqnrDb === Infinity, tensor.name);
    }
  }
  assert.is(report.total.tensors, rounded);
  assert.is(report.schemes.length, 1);
  assert.equal({ ...report.schemes[0], scheme: 'all' }, report.total);
  assert.ok(report.histograms.length > 0);
  const text = describeQuantize({ ...result, report });
  assert.match(text, /SQNR dB/);
  assert.match(text, /x int4 group 32/);
});

/** One layer whose widest matrices are more than what is read at a time. */
const WIDE: JsonObject = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 256,
  intermediate_size: 1024,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 64,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
};

test('matrices that are read in several steps: figures of every scheme are those of what was written', async () => {
  const wide = join(room.work, 'wide');
  await writeRandomCheckpoint(wide, WIDE, 3);
  const before = await valuesOf(wide);
  const fp8 = { layout: 'compressed_tensors', weights: 'fp8_e4m3' } as const;
  for (const request of [
    { ...fp8, strategy: 'tensor' },
    { ...fp8, strategy: 'block' },
    { layout: 'compressed_tensors', weights: 'nvfp4' },
    { layout: 'bnb_nf4' },
    { layout: 'compressed_tensors', weights: 'mxfp4' },
  ] as const) {
    const { dir, report } = await room.quantize(wide, request);
    const after = await valuesOf(dir);
    const rounded = report!.tensors.filter(({ fate }) => fate === 'rounds');
    assert.ok(rounded.length >= 7, `${rounded.length}`);
    for (const { name, sqnrDb } of rounded) {
      const plain = new ErrorSums().add(before.get(name)!, after.get(name)!).sqnrDb;
      assert.ok(Math.abs(sqnrDb! - plain) < 1e-4, `${request.layout} ${name}: ${sqnrDb}, ${plain}`);
      assert.ok(plain > 15);
    }
  }
});

test('workers and shards of the work change no figure, and merge judges the whole', async () => {
  const { report, dir } = await room.quantize(LLAMA, int4);
  const threads = await room.quantize(LLAMA, int4, { workers: 2 });
  const { reproduce: _, ...expected } = report as QuantizeReport;
  assert.equal({ ...(threads.report as QuantizeReport), reproduce: undefined }, { ...expected, reproduce: undefined });
  const output = join(room.work, 'merged');
  for (const shard of ['1/2', '2/2']) {
    assert.is((await room.quantize(LLAMA, int4, { shard, output })).report, null);
  }
  const failed = await whenMerged(output, ['sqnr_db>60']);
  assert.is(failed.package, null);
  assert.not.ok(existsSync(output));
  const merged = await whenMerged(output, ['sqnr_db>10']);
  assert.equal({ ...merged.report, gates: [], reproduce: undefined }, { ...expected, reproduce: undefined });
  for (const name of readdirSync(dir)) assert.equal(readFileSync(join(output, name)), readFileSync(join(dir, name)));
});

test('a gate that does not hold: no checkpoint, the report says which tensors, another gate ends at once', async () => {
  const output = join(room.work, 'gated');
  const reports = ['errors.html', 'errors.json'].map((name) => join(room.work, name));
  const gates = ['sqnr_db>60', 'total.cosine>0.5', 'zeroed_share<=1'];
  const { checkpoint, report } = await room.quantize(LLAMA, int4, { output, gates, reports });
  assert.is(checkpoint, null);
  assert.not.ok(existsSync(output));
  assert.ok(report);
  assert.is(report.verdict, 'fail');
  assert.equal(
    report.gates.map(({ verdict }) => verdict),
    ['fail', 'pass', 'pass'],
  );
  const { failed } = report.gates[0];
  assert.is(failed.length, report.total.tensors);
  assert.ok(failed.every(({ value }, index) => index === 0 || value! >= failed[index - 1].value!));
  assert.equal(json(reports[1]), report);
  const page = readFileSync(reports[0], 'utf8');
  assert.match(page, /class="badge bad">fail/);
  assert.match(page, /self_attn\.q_proj/);
  assert.not.match(page, /NaN|undefined|\[object|https?:/);
  const text = describeQuantize({
    ...(await room.quantize(LLAMA, int4, { output: join(room.work, 'gated2'), gates })),
  });
  assert.match(text, /FAIL {2}sqnr_db>60 does not hold for model\.layers/);
  assert.ok((await room.quantize(LLAMA, int4, { output, gates: ['sqnr_db>10'] })).checkpoint);
});

test('codes that are kept are exact, and exact holds every gate', async () => {
  const { dir } = await room.quantize(LLAMA, int4);
  const gates = ['sqnr_db>1000', 'cosine>=1', 'max_abs_error<=0'];
  const { report, tensors } = await room.quantize(dir, { layout: 'compressed_tensors' }, { gates });
  assert.ok(tensors.some(({ fate }) => fate === 'keeps'));
  assert.ok(report);
  for (const { fate, exact, name } of report.tensors) if (fate === 'keeps') assert.ok(exact, name);
  const rounded = report.tensors.filter(({ fate }) => fate === 'rounds').map(({ name }) => name);
  for (const { failed } of report.gates) {
    assert.equal(failed.map(({ name }) => name).sort(), [...rounded].sort(), 'what is rounded besides, and no other');
  }
});

test('without errors nothing is measured and nothing is judged', async () => {
  const { report, dir } = await room.quantize(LLAMA, int4, { errors: false });
  assert.is(report, null);
  assert.not.match(readFileSync(join(dir, 'halfbyte.json'), 'utf8'), /sqnrDb/);
});

test('modules are names without indices', () => {
  assert.is(moduleOf('model.layers.3.mlp.experts.17.up_proj.weight'), 'mlp.experts.*.up_proj');
  assert.is(moduleOf('model.layers.12.self_attn.q_proj.weight'), 'self_attn.q_proj');
  assert.is(moduleOf('model.embed_tokens.weight'), 'embed_tokens');
  assert.is(moduleOf('lm_head.weight'), 'lm_head');
});

test('gates that cannot be read or judged are refused', async () => {
  refused(() => parseQuantizeGate('sqnr>18'), /no metric "sqnr"/, /Try this: --gate 'sqnr_db>18'/);
  refused(() => parseQuantizeGate('total.sqnr>18'), /--gate 'total\.sqnr_db>18'/);
  for (const text of ['sqnr_db', 'sqnr_db>', 'sqnr_db=3', 'sqnr_db>1e999', '>3', 'constructor>1']) {
    refused(() => parseQuantizeGate(text), /--gate/);
  }
  const cases: [Partial<QuantizeSettings>, RegExp][] = [
    [{ gates: ['sqnr_db>1'], errors: false }, /--no-errors/],
    [{ gates: ['sqnr_db>1'], shard: '1/2' }, /halfbyte merge/],
    [{ gates: ['sqnr_db>1'], dryRun: true }, /--dry-run/],
    [{ reports: [join(room.work, 'report.txt')] }, /\.html, \.json/],
    [{ reports: [join(room.work, 'report.html')], errors: false }, /--report/],
  ];
  for (const [settings, pattern] of cases) {
    const error = await room.quantize(LLAMA, int4, settings).catch((each) => each);
    refused(() => {
      throw error;
    }, pattern);
  }
});

test.after(room.remove);
test.run();
