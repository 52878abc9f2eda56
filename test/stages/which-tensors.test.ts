import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { matrixKind } from '../../src/core/matrix-kinds.js';
import type { PlannedTensor } from '../../src/core/plan.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';
import { fixture } from '../reference/fixtures.js';
import { dressingRoom } from './checkpoints.js';

const room = dressingRoom();
const plan = async (checkpoint: string, request: QuantizeRequest): Promise<PlannedTensor[]> =>
  (await room.quantize(fixture(checkpoint), request, { dryRun: true })).tensors;
const quantizedNames = (tensors: PlannedTensor[]) =>
  tensors.filter(({ fate }) => fate !== 'unquantized').map(({ name }) => name);
const settingsOf = (dir: string): JsonObject => openCheckpoint(dir).config.quantization_config as JsonObject;

const REQUESTS: QuantizeRequest[] = [
  { layout: 'awq', groupSize: 'channel' },
  { layout: 'bnb_nf4' },
  { layout: 'compressed_tensors', groupSize: 'channel' },
  { layout: 'compressed_tensors', weights: 'fp8_e4m3', strategy: 'block' },
  { layout: 'deepseek_fp8' },
  { layout: 'gptq', groupSize: 'channel' },
  { layout: 'mlx', groupSize: '32' },
];

for (const request of REQUESTS) {
  const { layout, weights } = request;
  test(`${layout} ${weights ?? ''}: norms, routers and their biases are left alone; ends as the engine expects`, async () => {
    for (const checkpoint of ['deepseek-v3', 'llama-linear-v5cfg']) {
      const tensors = await plan(checkpoint, request);
      const done = quantizedNames(tensors);
      assert.ok(done.length > 0, checkpoint);
      const kinds = new Set(done.map(matrixKind));
      assert.not.ok(kinds.has('router') || kinds.has(undefined), `${checkpoint}: ${[...kinds]}`);
      // rows of the other fixture do not divide into mlx's groups
      for (const kind of ['embedding', 'lm_head'] as const)
        assert.is(kinds.has(kind), layout === 'mlx' && checkpoint === 'llama-linear-v5cfg', kind);
      for (const { name, shape, scheme } of tensors) {
        if (name.endsWith('e_score_correction_bias')) assert.is(scheme.scheme, 'f32', name);
        if (shape.length === 1) assert.not.ok(done.includes(name), name);
      }
    }
  });
}

test('--only and --skip take globs of names, --override has the last word', async () => {
  const request: QuantizeRequest = {
    layout: 'compressed_tensors',
    groupSize: 'channel',
    only: ['model.layers.*.mlp.*'],
    skip: ['*up_proj.weight', '*gate_proj.weight'],
    override: ['*.mlp.*=int4', '*.down_proj.weight=int8', '*layers.0.self_attn.o_proj.weight=int8'],
  };
  const { override: _, ...without } = request;
  const names = quantizedNames(await plan('qwen2-untied', without));
  assert.ok(names.length > 0);
  for (const name of names) assert.match(name, /mlp\.down_proj/);
  const schemes = new Map((await plan('qwen2-untied', request)).map(({ name, scheme }) => [name, scheme.scheme]));
  assert.is(schemes.get('model.layers.0.mlp.down_proj.weight'), 'int8');
  assert.is(schemes.get('model.layers.0.mlp.up_proj.weight'), 'int4');
  assert.is(schemes.get('model.layers.0.self_attn.o_proj.weight'), 'int8');
  assert.is(schemes.get('model.layers.0.self_attn.k_proj.weight'), 'bf16');
});

test('a matrix that is named but whose sizes do not divide is refused by name', async () => {
  try {
    await plan('llama-hd8', { layout: 'gptq', groupSize: '32', override: ['*down_proj.weight=int4'] });
    assert.unreachable('accepted');
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as Error).message, /"model\.layers\.0\.mlp\.down_proj\.weight" \[64, 172\].*int4 group 32/);
  }
});

test('--preset mixed gives more bits to the ends, v_proj and down_proj, and every layout says so in its own words', async () => {
  const mixed = { preset: 'mixed', groupSize: '32' } as const;
  const run = (request: QuantizeRequest) => room.quantize(fixture('union-1.8m'), { ...mixed, ...request });
  const { dir, tensors } = await run({ layout: 'compressed_tensors' });
  const eight = tensors.filter(({ scheme }) => scheme.scheme === 'int8').map(({ name }) => name);
  const four = tensors.filter(({ scheme }) => scheme.scheme === 'int4').map(({ name }) => name);
  assert.ok(eight.some((name) => /layers\.0\..*q_proj/.test(name)));
  assert.ok(four.length > 0 && four.every((name) => !/(v|down)_proj/.test(name)), `${four}`);
  const minority = four.length < eight.length ? four : eight;

  const groups = Object.values(settingsOf(dir).config_groups as JsonObject) as JsonObject[];
  const majority = minority === four ? eight : four;
  for (const [index, names] of [majority, minority].entries()) {
    assert.equal(
      groups[index].targets,
      names.map((name) => name.replace('.weight', '')),
    );
  }
  assert.equal(groups.map(({ weights }) => (weights as JsonObject).num_bits).sort(), [4, 8]);

  const gptq = settingsOf((await run({ layout: 'gptq' })).dir);
  const dynamic = Object.entries(gptq.dynamic as Record<string, JsonObject>);
  for (const [names, bits] of [
    [four, 4],
    [eight, 8],
  ] as const) {
    for (const name of names) {
      const own = dynamic.find(([key]) => new RegExp(key.slice(2)).test(name.replace('.weight', '')))?.[1];
      assert.is((own ?? gptq).bits, bits, name);
    }
  }

  const mlx = await run({ layout: 'mlx' });
  const quantization = openCheckpoint(mlx.dir).config.quantization as JsonObject;
  assert.equal(quantization, settingsOf(mlx.dir));
  const own = Object.entries(quantization).filter(([key]) => key.startsWith('model.'));
  assert.ok(own.length > 0);
  for (const [, settings] of own) {
    assert.is((settings as JsonObject).mode, 'affine');
    assert.is.not((settings as JsonObject).bits, quantization.bits);
  }
});

test('configs are those that the engines read, and the tokenizer comes along', async () => {
  const union = fixture('union-1.8m');
  const awq = await room.quantize(union, { layout: 'awq', groupSize: '32', skip: ['*layers.0.*'] });
  const { modules_to_not_convert: skipped, ...settings } = settingsOf(awq.dir);
  assert.equal(settings, { quant_method: 'awq', zero_point: true, group_size: 32, bits: 4, version: 'gemm' });
  assert.ok((skipped as string[]).includes('model.layers.0.self_attn.q_proj'));
  assert.not.ok((skipped as string[]).some((name) => /layers\.1\./.test(name)));
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    assert.equal(readFileSync(join(awq.dir, name)), readFileSync(join(union, name)), name);
  }

  const bnb = settingsOf((await room.quantize(fixture('deepseek-v3'), { layout: 'bnb_nf4' })).dir);
  assert.is(bnb.bnb_4bit_quant_type, 'nf4');
  const left = bnb.llm_int8_skip_modules as string[];
  assert.ok(left.includes('lm_head') && left.some((name) => name.endsWith('mlp.gate')), `${left}`);

  const mx = settingsOf((await room.quantize(union, { layout: 'compressed_tensors', weights: 'mxfp4' })).dir);
  assert.is(mx.format, 'mxfp4-pack-quantized');
  // the head is tied and stores nothing, but is a Linear for the engine
  assert.equal(mx.ignore, ['lm_head']);
  const nv = settingsOf((await room.quantize(union, { layout: 'compressed_tensors', weights: 'nvfp4' })).dir);
  const [group] = Object.values(nv.config_groups as JsonObject) as JsonObject[];
  const { strategy, num_bits, type, group_size } = group.weights as JsonObject;
  assert.equal(
    { strategy, num_bits, type, group_size },
    { strategy: 'tensor_group', num_bits: 4, type: 'float', group_size: 16 },
  );
  assert.is(group.input_activations, null);
});

test.after(room.remove);
test.run();
