import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { rejects } from '../rejects.js';
import { dressingRoom } from './checkpoints.js';
import { llamaConfig, llamaTensors, writeCheckpoint } from './written-checkpoint.js';

const room = dressingRoom();
const LAYERS = 8;
const llama = writeCheckpoint(join(room.work, 'llama'), llamaConfig(LAYERS), llamaTensors(LAYERS));
/** Two layers with four experts each, by the names that families give them. */
const withExperts = (block: string, projections: [string, [number, number]][]) => {
  const tensors = Object.fromEntries(
    [0, 1].flatMap((layer) =>
      [0, 1, 2, 3].flatMap((expert) =>
        projections.map(([name, shape]) => [
          `model.layers.${layer}.${block}.experts.${expert}.${name}.weight`,
          { shape },
        ]),
      ),
    ),
  );
  const config = { ...llamaConfig(2), model_type: 'some_moe' };
  return writeCheckpoint(join(room.work, block), config, { ...llamaTensors(2), ...tensors });
};
const moe = withExperts('mlp', [
  ['gate_proj', [32, 64]],
  ['up_proj', [32, 64]],
  ['down_proj', [64, 32]],
]);
const mixtral = withExperts('block_sparse_moe', [
  ['w1', [32, 64]],
  ['w3', [32, 64]],
  ['w2', [64, 32]],
]);
const byNames = { unknownArchitecture: true };
const settingsOf = (dir: string): JsonObject => openCheckpoint(dir).config.quantization_config as JsonObject;

/** Parts of the layers that vLLM fuses (packed_modules_mapping of its models). */
const FUSED: Record<string, string[]> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
};

/** Whether a name is a target: equal to it, or matched from its start by what follows `re:`. */
const isTarget = (name: string, target: string) =>
  target.startsWith('re:') ? new RegExp(`^(?:${target.slice(3)})`).test(name) : name === target;

/**
 * The group that vLLM takes for a layer (find_matched_target of its compressed_tensors/utils.py): by the layer's name, by
 * its class, by the names of all its parts; the first target of the first that matches.
 */
function vllmGroup(groups: JsonObject[], layer: string, className: string): JsonObject | undefined {
  const targets = groups.flatMap((group) => (group.targets as string[]).map((target) => ({ target, group })));
  const find = (name: string) => targets.find(({ target }) => isTarget(name, target));
  const byClass = targets.find(({ target }) => className.toLowerCase().includes(target.toLowerCase()));
  const fused = Object.keys(FUSED).find((key) => layer.endsWith(key));
  const parts = fused ? FUSED[fused].map((part) => find(layer.replace(fused, part))) : [];
  return (find(layer) ?? byClass ?? (parts.every((each) => each) ? parts[0] : undefined))?.group;
}

/** Bits of a stored module, by the columns of its words. */
function storedBits(dir: string, module: string): number | undefined {
  const { tensors } = openCheckpoint(dir);
  const codes = tensors.get(`${module}.weight_packed`);
  const shape = tensors.get(`${module}.weight_shape`);
  if (!codes || !shape) return undefined;
  const cols = Number(readFileSync(shape.file).readBigInt64LE(shape.offset + 8));
  return (32 * codes.shape[1]) / cols;
}

for (const request of [
  { preset: 'mixed' as const },
  { override: ['*.layers.2.self_attn.?_proj.weight=int8', '*.layers.3.mlp.*=int8'] },
  { skip: ['*.layers.0.*'] },
]) {
  test(`compressed_tensors ${Object.keys(request)}: vLLM finds for every fused layer the bits of all its parts`, async () => {
    const { dir, tensors } = await room.quantize(llama, { layout: 'compressed_tensors', groupSize: '32', ...request });
    const settings = settingsOf(dir);
    const groups = Object.values(settings.config_groups as JsonObject) as JsonObject[];
    const ignored = settings.ignore as string[];
    const used = new Set<unknown>();
    for (let layer = 0; layer < LAYERS; layer++) {
      for (const [path, parts, className] of [
        ['self_attn.qkv_proj', FUSED.qkv_proj, 'QKVParallelLinear'],
        ['mlp.gate_up_proj', FUSED.gate_up_proj, 'MergedColumnParallelLinear'],
        ['mlp.down_proj', ['down_proj'], 'RowParallelLinear'],
        ['self_attn.o_proj', ['o_proj'], 'RowParallelLinear'],
      ] as const) {
        const name = `model.layers.${layer}.${path}`;
        const modules = parts.map((part) => name.replace(/\w+$/, part));
        const bits = new Set(modules.map((module) => storedBits(dir, module)));
        assert.is(bits.size, 1, name);
        const [stored] = bits;
        if (stored === undefined) {
          assert.ok(
            modules.every((module) => ignored.includes(module)),
            name,
          );
          continue;
        }
        used.add(stored);
        const group = vllmGroup(groups, name, className);
        assert.is((group?.weights as JsonObject | undefined)?.num_bits, stored, name);
      }
    }
    if (!('skip' in request)) assert.equal([...used].sort(), [4, 8]);
    assert.ok(tensors.some(({ fate }) => fate === 'rounds'));
  });
}

test('experts: one scheme a layer, found by a regular expression under every name that engines give them', async () => {
  for (const [checkpoint, block] of [
    [moe, 'mlp'],
    [mixtral, 'block_sparse_moe'],
  ]) {
    const override = ['*.layers.0.*.experts.*=int8'];
    const request = { layout: 'compressed_tensors', groupSize: 'channel', override, ...byNames };
    const { dir, tensors } = await room.quantize(checkpoint, request);
    const groups = Object.values(settingsOf(dir).config_groups as JsonObject) as JsonObject[];
    for (const [layer, bits] of [
      [0, 8],
      [1, 4],
    ]) {
      const own = tensors.filter(({ name }) => name.includes(`.layers.${layer}.${block}.experts.`));
      assert.ok(own.length > 0 && own.every(({ scheme }) => scheme.scheme === `int${bits}`), `${block} ${layer}`);
      for (const part of ['0.gate_proj', '3.w2']) {
        const group = vllmGroup(groups, `model.layers.${layer}.${block}.experts.${part}`, 'FusedMoE');
        assert.is((group?.weights as JsonObject | undefined)?.num_bits, bits);
      }
    }
  }
});

test('gptq: patterns of settings match the parts, the fused layer and the experts', async () => {
  const { dir } = await room.quantize(llama, {
    layout: 'gptq',
    groupSize: '32',
    override: ['*.layers.2.self_attn.?_proj.weight=int8'],
    skip: ['*.layers.5.mlp.*'],
  });
  const dynamic = Object.entries(settingsOf(dir).dynamic as Record<string, JsonObject>);
  const find = (module: string) => dynamic.find(([key]) => new RegExp(key.slice(2)).test(module));
  for (const part of ['q_proj', 'k_proj', 'v_proj', 'qkv_proj', 'o_proj']) {
    assert.is(find(`model.layers.2.self_attn.${part}`)?.[1].bits, 8, part);
    assert.is(find(`model.layers.20.self_attn.${part}`), undefined, part);
  }
  for (const part of ['gate_proj', 'up_proj', 'gate_up_proj', 'down_proj']) {
    assert.match(find(`model.layers.5.mlp.${part}`)?.[0] ?? '', /^-:/, part);
  }
  const experts = await room.quantize(moe, {
    layout: 'gptq',
    groupSize: 'channel',
    override: ['*.layers.0.*.experts.*=int8'],
    ...byNames,
  });
  const [[pattern]] = Object.entries(settingsOf(experts.dir).dynamic as JsonObject).filter(([key]) =>
    /^\+.*experts/.test(key),
  );
  for (const name of ['model.layers.0.mlp.experts', 'model.layers.0.mlp.experts.3.up_proj']) {
    assert.match(name, new RegExp(pattern.slice(2)));
  }
});

test('what splits a fused layer is refused with its name, in every layout that engines load fused', async () => {
  const splits: [string, object, RegExp][] = [
    [
      'compressed_tensors',
      { groupSize: '32', override: ['*.layers.1.self_attn.v_proj.weight=int8'] },
      /layers\.1\.self_attn\.qkv_proj/,
    ],
    ['gptq', { groupSize: '32', override: ['*.layers.0.mlp.up_proj.weight=int8'] }, /layers\.0\.mlp\.gate_up_proj/],
    ['gptq_v2', { groupSize: '32', skip: ['*.gate_proj.weight'] }, /gate_up_proj.*no scheme|no scheme.*gate_up_proj/],
    ['awq', { groupSize: '32', skip: ['*.layers.3.self_attn.k_proj.weight'] }, /layers\.3\.self_attn\.qkv_proj/],
    ['deepseek_fp8', { only: ['*q_proj.weight'] }, /layers\.0\.self_attn\.qkv_proj/],
    ['bnb_nf4', { skip: ['*.layers.0.mlp.up_proj.weight'] }, /layers\.0\.mlp\.gate_up_proj/],
  ];
  for (const [layout, request, pattern] of splits) {
    await rejects(room.quantize(llama, { layout, ...request }), UsageError, pattern);
  }
  const override = ['*.layers.0.mlp.experts.1.*=int8'];
  const one = { layout: 'compressed_tensors', groupSize: 'channel', override, ...byNames };
  await rejects(room.quantize(moe, one), UsageError, /"model\.layers\.0\.mlp\.experts"/);
  // mlx runs each by itself
  const mlx = await room.quantize(llama, { layout: 'mlx', groupSize: '32', override: ['*.v_proj.weight=int8'] });
  assert.is(mlx.tensors.filter(({ scheme }) => scheme.scheme === 'int8').length, LAYERS);
});

test('awq and bnb_nf4 name what is left alone as engines call it', async () => {
  const awq = settingsOf((await room.quantize(llama, { layout: 'awq', groupSize: '32', skip: ['*.layers.0.*'] })).dir);
  for (const part of ['q_proj', 'qkv_proj']) {
    assert.ok((awq.modules_to_not_convert as string[]).includes(`model.layers.0.self_attn.${part}`));
  }
  const { dir, tensors } = await room.quantize(moe, { layout: 'bnb_nf4', ...byNames });
  assert.ok((settingsOf(dir).llm_int8_skip_modules as string[]).includes('experts'));
  const fates = new Map(tensors.map(({ name, fate }) => [name, fate]));
  assert.is(fates.get('model.layers.0.mlp.experts.0.up_proj.weight'), 'unquantized');
  assert.is(fates.get('model.layers.0.self_attn.q_proj.weight'), 'rounds');
});

test('grids that differ inside a fused layer become one', async () => {
  const first = await room.quantize(llama, {
    layout: 'mlx',
    groupSize: '32',
    scales: 'f32',
    asymmetric: false,
    override: ['*.q_proj.weight=int8'],
  });
  const { tensors } = await room.quantize(first.dir, { layout: 'compressed_tensors' });
  for (const part of ['q_proj', 'k_proj', 'v_proj']) {
    const found = tensors.find(({ name }) => name.endsWith(`.2.self_attn.${part}.weight`))?.scheme;
    assert.equal([found?.scheme, found?.group_size], ['int4', 32], part);
  }
});

test.after(room.remove);
test.run();
