/** Folders that give two answers: the one that transformers takes, and what is said of it. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unreadKeys } from '../../src/blocks/unknown-keys.js';
import { InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { openModel } from '../../src/model/model.js';
import { find } from '../../src/registry.js';
import { plan } from '../../src/stages/plan.js';
import { quantize } from '../../src/stages/quantize.js';
import { fixturePath, workFolder } from './packages.js';

const work = workFolder();
const baseConfig = (base: string, style: '4' | '5' = '5'): JsonObject =>
  JSON.parse(readFileSync(fixturePath(`variations/${base}.json`), 'utf8')).base[style];

/** Reads a family's base with changed keys; returns the parsed config and what was said. */
async function read(base: string, changes: JsonObject, style: '4' | '5' = '5') {
  const config: JsonObject = { ...baseConfig(base, style), ...changes };
  const notes: string[] = [];
  const architecture = (await find('architectures', config.model_type as string))!;
  return { config: architecture.parseConfig(config, (text) => notes.push(text)), notes };
}

const linear = { rope_type: 'linear', factor: 4 };
const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 };

const said: [what: string, base: string, changes: JsonObject, note: RegExp][] = [
  [
    'rope_scaling beside rope_parameters: the theta that is taken is the default',
    'mixtral',
    { rope_scaling: yarn, rope_parameters: { rope_type: 'default', rope_theta: 500 } },
    /"rope_scaling" is taken and nothing of the other, as transformers does; rope_theta is 1000000, the family's default/,
  ],
  ['the one beside', 'qwen3', { rope_scaling: yarn, rope_theta: 500 }, /rope_theta is 500, the one beside it/],
  ['the one inside', 'qwen3', { rope_scaling: { ...yarn, rope_theta: 7 } }, /rope_theta is 7, the one inside of it/],
  ['two thetas', 'llama', { rope_theta: 500 }, /"rope_theta" is 10000 inside of the rope and 500 beside it: 10000 is/],
  [
    'two original lengths',
    'llama',
    { rope_parameters: { ...yarn, rope_theta: 500 }, original_max_position_embeddings: 32 },
    /"original_max_position_embeddings" is 16 inside of the rope, and 32 stands beside it: 32 is taken/,
  ],
  ['two types', 'llama', { rope_parameters: { ...linear, type: 'yarn' } }, /rope_type "linear" and the type "yarn"/],
  [
    'a part that is not rotated',
    'llama',
    { partial_rotary_factor: 0.5 },
    /"partial_rotary_factor" is 0.5: passed over/,
  ],
  [
    'two parts',
    'phi3',
    { partial_rotary_factor: 0.5, rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.75 } },
    /"partial_rotary_factor" is 0.75 inside of the rope and 0.5 beside it: 0.75 is taken/,
  ],
  [
    'layer_types of phi3',
    'phi3',
    { layer_types: ['full_attention', 'sliding_attention'] },
    /"layer_types" is passed over/,
  ],
  [
    'layer_types of mixtral',
    'mixtral',
    { layer_types: ['sliding_attention', 'full_attention'] },
    /every layer has full/,
  ],
  [
    'layer_types of qwen3_moe',
    'qwen3_moe',
    { layer_types: ['full_attention', 'full_attention'], use_sliding_window: true, sliding_window: 4 },
    /every layer has sliding_attention, a window of 4/,
  ],
  [
    'windows of smollm3 without use_sliding_window',
    'smollm3',
    { layer_types: new Array(4).fill('sliding_attention'), sliding_window: 4 },
    /"use_sliding_window" is false and "layer_types" names layers with a window: they have one of 4/,
  ],
  ['a soft cap of gemma3', 'gemma3_text', { attn_logit_softcapping: 6 }, /"attn_logit_softcapping" is passed over/],
  [
    'a flat rope of gemma3',
    'gemma3_text',
    { rope_parameters: { ...linear, rope_theta: 500 } },
    /passed over, as transformers does for this family; rope_theta is 1000000, and 10000 with a window/,
  ],
  [
    'experts',
    'mixtral',
    { num_experts: 3 },
    /"num_experts" is 3 and "num_local_experts", .* 4: "num_experts" is taken/,
  ],
  [
    'experts',
    'qwen3_moe',
    { num_experts: 3 },
    /"num_local_experts" is 4 and "num_experts", .*"num_local_experts" is taken/,
  ],
  [
    'experts',
    'deepseek_v2',
    { num_experts: 3 },
    /"num_experts" is 3 and "n_routed_experts", .*: "num_experts" is taken/,
  ],
  ['experts', 'deepseek_v3', { num_local_experts: 8 }, /"num_local_experts" is 8 and "n_routed_experts"/],
];

for (const [what, base, changes, note] of said) {
  test(`${base}: ${what}`, async () => {
    const { notes } = await read(base, changes);
    assert.ok(
      notes.some((each) => note.test(each)),
      JSON.stringify(notes),
    );
  });
}

const silent: [what: string, base: string, changes: JsonObject][] = [
  ['as it is', 'llama', {}],
  [
    'the same rope twice',
    'llama',
    { rope_scaling: linear, rope_theta: 500, rope_parameters: { ...linear, rope_theta: 500 } },
  ],
  ['the same theta twice', 'llama', { rope_theta: 10000 }],
  ['an empty rope_scaling', 'llama', { rope_scaling: {} }],
  ['dtype twice', 'llama', { torch_dtype: 'float16' }],
  ['the same number of experts twice', 'mixtral', { num_experts: 4 }],
  ['layer_types that say what the window says', 'phi3', { layer_types: ['full_attention', 'full_attention'] }],
];

for (const [what, base, changes] of silent) {
  test(`${base}: ${what}: nothing is said`, async () => assert.equal((await read(base, changes)).notes, []));
}

test('every base in both styles parses without a note and without an unknown key', async () => {
  const bases = readdirSync(fixturePath('variations')).filter((name) => name.endsWith('.json'));
  assert.ok(bases.length > 14);
  for (const base of bases.map((name) => name.slice(0, -'.json'.length))) {
    for (const style of ['4', '5'] as const) {
      const config = baseConfig(base, style);
      const { keys } = (await find('architectures', config.model_type as string))!;
      assert.equal(unreadKeys(config, keys), [], `${base} ${style}`);
      assert.equal((await read(base, {}, style)).notes, [], `${base} ${style}`);
    }
  }
});

test('a key inside of a rope is unknown like any other, and one that matters is refused', async () => {
  const { keys } = (await find('architectures', 'llama'))!;
  const config: JsonObject = { ...baseConfig('llama'), rope_parameters: { rope_type: 'default', swirl: 3 } };
  assert.equal(unreadKeys(config, keys), ['rope_parameters.swirl']);
  const nested = { full_attention: { rope_type: 'default', swirl: 3 } };
  assert.equal(unreadKeys({ rope_parameters: nested }, keys), ['rope_parameters.full_attention.swirl']);
  const reason = await read('mistral', { rope_parameters: { ...yarn, llama_4_scaling_beta: 0.1 } }).catch((e) => e);
  assert.instance(reason, InvalidInputError);
  assert.match(reason.message, /"rope_parameters.llama_4_scaling_beta" is 0.1/);
  const strict = plan(openCheckpoint(checkpoint('swirl', 'llama', config)), { strictConfig: true });
  const refused = await strict.catch((error) => error);
  assert.ok(refused instanceof InvalidInputError || refused instanceof UsageError);
  assert.match(refused.message, /rope_parameters\.swirl/);
});

/** Writes a base with changed keys. */
function checkpoint(name: string, base: string, changes: JsonObject): string {
  const dir = work.path(name);
  mkdirSync(dir);
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...baseConfig(base), ...changes }));
  copyFileSync(fixturePath(`variations/${base}.safetensors`), join(dir, 'model.safetensors'));
  return dir;
}

async function noted(dir: string) {
  const notes: string[] = [];
  const model = await openModel(openCheckpoint(dir), (text) => notes.push(text));
  return { model, notes };
}

test('a stored head that differs from the tied table is kept, in a package and in a checkpoint', async () => {
  const dir = checkpoint('head', 'llama', { tie_word_embeddings: true });
  const { model, notes } = await noted(dir);
  assert.is(model.config.tie_word_embeddings, false);
  assert.match(notes.join(), /the stored lm_head\.weight differs from it: the stored head is taken/);
  const planned = await plan(openCheckpoint(dir), { weights: 'f32' });
  assert.is(planned.checkpoint.config.tie_word_embeddings, false, 'what verify reads of the package');

  const out = work.path('head-out');
  const written: string[] = [];
  const settings = { output: out, dryRun: false, workers: 0 };
  const { signal } = new AbortController();
  await quantize(
    dir,
    { layout: 'plain', weights: 'bf16' },
    settings,
    () => {},
    signal,
    (text) => written.push(text),
  );
  assert.match(written.join(), /the stored head is taken/);
  assert.is(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')).tie_word_embeddings, false);
});

test('every fixture of a drawn family passes --strict-config', async () => {
  let count = 0;
  for (const name of readdirSync(fixturePath('.'))) {
    const file = join(fixturePath(name), 'config.json');
    if (!existsSync(file)) continue;
    const config: JsonObject = JSON.parse(readFileSync(file, 'utf8'));
    const architecture = await find('architectures', config.model_type as string);
    if (!architecture) continue;
    assert.equal(unreadKeys(config, architecture.keys), [], name);
    count += 1;
  }
  assert.ok(count > 10);
});

test('quantize keeps what JSON has no word for, and the numbers as they are written', async () => {
  const dir = checkpoint('infinity', 'llama', {});
  const file = join(dir, 'config.json');
  const text = readFileSync(file, 'utf8').replace(
    '{',
    '{"time_step_limit": [0.0, Infinity], "fifty": 50.0, "small": 1e-06, ',
  );
  writeFileSync(file, text);
  const out = work.path('infinity-out');
  const settings = { output: out, dryRun: false, workers: 0 };
  await quantize(dir, { layout: 'plain', weights: 'bf16' }, settings, () => {}, new AbortController().signal);
  const written = readFileSync(join(out, 'config.json'), 'utf8');
  assert.match(written, /"time_step_limit": \[\s*0\.0,\s*Infinity\s*\]/);
  assert.match(written, /"fifty": 50\.0,/);
  assert.match(written, /"small": 1e-06,/);
  const { notes } = await noted(dir);
  assert.equal(notes, []);
});

test('a setting that is read and not finite is named', async () => {
  const reason = await read('llama', { rms_norm_eps: { __float__: 'Infinity' } }).catch((error) => error);
  assert.match(reason.message, /"rms_norm_eps" is \{"__float__":"Infinity"\}; needed is a number/);
});

test('model.safetensors beside an index is read, and the index is named', async () => {
  const dir = checkpoint('index', 'llama', {});
  const index = join(dir, 'model.safetensors.index.json');
  writeFileSync(index, JSON.stringify({ weight_map: { 'lm_head.weight': 'model-00001-of-00001.safetensors' } }));
  const { notes } = await noted(dir);
  assert.match(
    notes.join(),
    /model\.safetensors stands beside model\.safetensors\.index\.json: model\.safetensors is read/,
  );
  writeFileSync(index, JSON.stringify({ weight_map: { 'lm_head.weight': 'model.safetensors' } }));
  assert.equal((await noted(dir)).notes, []);
});

test('transformers_weights names the file of the weights', async () => {
  const dir = checkpoint('named', 'llama', { transformers_weights: 'other.safetensors' });
  assert.throws(() => openCheckpoint(dir), /"transformers_weights" "other\.safetensors"/);
  copyFileSync(fixturePath('variations/llama-tied.safetensors'), join(dir, 'other.safetensors'));
  assert.is(openCheckpoint(dir).files[0].name, 'other.safetensors');
  assert.not.ok(openCheckpoint(dir).tensors.has('lm_head.weight'));
});

test('another model_type is suggested for a slip of the pen alone', async () => {
  const meant = async (changes: JsonObject) => {
    const config = { ...baseConfig('mistral'), ...changes };
    const reason = await noted(
      checkpoint(`meant-${JSON.stringify(changes).replace(/\W+/g, '')}`, 'mistral', config),
    ).catch((error) => error);
    assert.instance(reason, InvalidInputError);
    return /Did you mean "(\w+)"/.exec(reason.message)?.[1];
  };
  assert.is(await meant({ model_type: 'mistrla' }), 'mistral');
  // another family with a like name, a class of another family, a key and a value that the family does not have
  assert.is(await meant({ model_type: 'ministral3', architectures: ['Ministral3ForCausalLM'] }), undefined);
  assert.is(await meant({ model_type: 'mistral2' }), undefined);
  assert.is(await meant({ model_type: 'mistrla', architectures: ['MistrlaForCausalLM'] }), undefined);
  assert.is(await meant({ model_type: 'mistrla', expert_count: 3 }), undefined);
  assert.is(await meant({ model_type: 'mistrla', attention_bias: true }), undefined);
});

test('a class of another family is named, and model_type counts', async () => {
  const { notes } = await noted(checkpoint('class', 'llama', { architectures: ['MistralForCausalLM'] }));
  assert.match(
    notes.join(),
    /"architectures" names "MistralForCausalLM" and "model_type" "llama": "model_type" counts/,
  );
});

test.after(() => work.remove());
test.run();
