import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { GgufMetadata } from '../../src/core/gguf.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { ggufMetadata } from '../../src/formats/gguf/metadata.js';
import { swallowsSpacesAsPhi3 } from '../../src/formats/gguf/name.js';
import { familyOf } from '../../src/layouts/gguf/families.js';
import { ACCOUNTS, llamaCppLimits } from '../../src/layouts/gguf/limits.js';
import { modelOfConfig } from '../../src/model/model.js';
import { find } from '../../src/registry.js';
import { completeConfig } from '../../src/stages/complete-config.js';
import { quantize } from '../../src/stages/quantize.js';
import { writeRandomCheckpoint } from '../random-checkpoint.js';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'halfbyte-gguf-limits-'));
test.after(() => rmSync(dir, { recursive: true }));

const complete = async (config: JsonObject) => completeConfig((await modelOfConfig('model', config)).checkpoint);

/** config.json of a fixture, changed. */
const configOf = (name: string, changes: JsonObject = {}): JsonObject => ({
  ...JSON.parse(readFileSync(join(fixtures, name, 'config.json'), 'utf8')),
  ...changes,
});

/** The metadata of a config; its keys without the name of the architecture. */
async function metadataOf(config: JsonObject, isPhi3 = false): Promise<GgufMetadata> {
  const whole = await complete(config);
  const { arch } = familyOf(whole);
  const metadata = ggufMetadata(arch, whole, { metadata: {}, isPhi3 }, 0);
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key.replace(`${arch}.`, ''), value]));
}

async function numberOf(config: JsonObject, key: string): Promise<unknown> {
  const found = (await metadataOf(config))[key];
  return found && 'value' in found ? found.value : undefined;
}

for (const [type, { carried, limits }] of Object.entries(ACCOUNTS)) {
  test(`${type}: every config key that the family reads is carried or limited, and no other`, async () => {
    const { keys } = (await find('architectures', type))!;
    const limited = limits.map(({ key }) => key.split('.')[0]);
    assert.equal(
      keys.read.filter((key) => !carried.includes(key) && !limited.includes(key)),
      [],
    );
  });
}

const DEEPSEEK = configOf('deepseek-v3');
const V2: JsonObject = {
  ...DEEPSEEK,
  model_type: 'deepseek_v2',
  topk_method: 'greedy',
  scoring_func: 'softmax',
  norm_topk_prob: false,
  num_nextn_predict_layers: 0,
};
const rope = (settings: JsonObject): JsonObject => ({
  rope_scaling: null,
  rope_parameters: { rope_theta: 10000, ...settings },
});
const YARN = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 };
const GEMMA2 = configOf('gemma2', { query_pre_attn_scalar: 16 });
const GEMMA3 = configOf('gemma3-text', { query_pre_attn_scalar: 24, attention_bias: false });

const refusals: [string, JsonObject, RegExp][] = [
  ['yarn with another beta_fast', configOf('llama-gqa', rope({ ...YARN, beta_fast: 16 })), /beta_fast" is 16;.* 32 /],
  ['yarn with another beta_slow', configOf('qwen3', rope({ ...YARN, beta_slow: 2 })), /beta_slow" is 2;.* 1 /],
  ['yarn that is not rounded', configOf('llama-gqa', rope({ ...YARN, truncate: false })), /truncate" is false/],
  [
    'llama3 rope where llama.cpp has no factors',
    configOf('qwen2-tied', rope({ ...YARN, rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 })),
    /rope_type" is "llama3"; llama\.cpp's qwen2 has default, dynamic, linear, yarn only/,
  ],
  ['another activation', configOf('llama-gqa', { hidden_act: 'relu2' }), /hidden_act" is "relu2"/],
  ['exact gelu in Gemma', { ...GEMMA2, hidden_activation: 'gelu' }, /hidden_activation" is "gelu"/],
  ['quick gelu in DeepSeek', { ...DEEPSEEK, hidden_act: 'quick_gelu' }, /hidden_act" is "quick_gelu"/],
  ['biases that the graph lacks', configOf('qwen3', { attention_bias: true }), /attention_bias" is true/],
  ['biases of latent attention', { ...DEEPSEEK, attention_bias: true }, /attention_bias" is true/],
  ['no soft cap in Gemma 2', { ...GEMMA2, attn_logit_softcapping: null }, /attn_logit_softcapping/],
  ['a head of its own in Gemma 2', { ...GEMMA2, tie_word_embeddings: false }, /tie_word_embeddings" is false/],
  ['another scale of scores', configOf('gemma3-text', { attention_bias: false }), /query_pre_attn_scalar" is 20/],
  ['heads that do not fill the model', configOf('qwen2-tied', { head_dim: 24 }), /head_dim" is 24;.*hidden_size/],
  [
    'groups by their best expert',
    { ...V2, topk_method: 'group_limited_greedy', n_group: 4, topk_group: 2 },
    /topk_method" is "group_limited_greedy"/,
  ],
  ['halves in place of pairs', { ...DEEPSEEK, rope_interleave: false }, /rope_interleave" is false/],
  ['layers without experts between', { ...DEEPSEEK, moe_layer_freq: 2 }, /moe_layer_freq" is 2/],
  [
    'magnitudes that differ',
    { ...DEEPSEEK, ...rope({ ...YARN, mscale: 1, mscale_all_dim: 0.5 }) },
    /mscale_all_dim" is 0.5/,
  ],
  ['no magnitudes', { ...DEEPSEEK, ...rope(YARN) }, /mscale_all_dim" is null/],
  ['another epsilon inside latent attention', { ...DEEPSEEK, rms_norm_eps: 1e-5 }, /rms_norm_eps" is 0.00001/],
  ['a low rank of queries with 27 layers', { ...DEEPSEEK, num_hidden_layers: 27 }, /q_lora_rank" is \d+;.*null/],
  ['weights of experts that are no sum of 1', configOf('qwen3-moe'), /norm_topk_prob" is false/],
  ['a residual scale of 0', configOf('granite', { residual_multiplier: 0 }), /residual_multiplier" is 0/],
  [
    'layers without positions that are not every fourth',
    configOf('smollm3-window', { attention_bias: false, mlp_bias: false, no_rope_layers: [1, 0, 1, 0] }),
    /no_rope_layers" is \[1,0,1,0\]/,
  ],
];
for (const [what, config, message] of refusals) {
  test(`refused: ${what}`, async () => {
    const whole = await complete(config);
    assert.throws(
      () => llamaCppLimits(whole),
      (error: unknown) => error instanceof InvalidInputError && message.test(error.message),
    );
  });
}

test('what llama.cpp does otherwise beyond some length is said', async () => {
  const notes = async (config: JsonObject) => llamaCppLimits(await complete(config)).join('\n');
  assert.match(await notes(configOf('mistral-swa')), /no sliding window: beyond 8 tokens/);
  assert.is(await notes(configOf('mistral-swa', { sliding_window: 4096, max_position_embeddings: 4096 })), '');
  assert.match(await notes(configOf('qwen2-layertypes')), /no sliding window: beyond 8 tokens/);
  assert.match(await notes(configOf('llama-dynamic-long')), /dynamic: beyond 48 positions/);
  assert.match(await notes(configOf('phi3-longrope')), /long factors .* above 128 positions/);
  assert.is(await notes(GEMMA2), '');
});

test('deepseek_v3 scores by sigmoids whatever its config leaves out; deepseek_v2 by softmax', async () => {
  const { scoring_func: _, topk_method: __, ...bare } = DEEPSEEK;
  assert.is(await numberOf(bare, 'expert_gating_func'), 2);
  assert.is(await numberOf(V2, 'expert_gating_func'), 1);
});

test('defaults of a family are said as what stands in its config', async () => {
  const { n_group: _, topk_group: __, norm_topk_prob: ___, routed_scaling_factor: ____, ...bare } = DEEPSEEK;
  const keys = await metadataOf({ ...bare, n_routed_experts: 16, num_experts_per_tok: 2 });
  assert.equal(keys.expert_group_count, { type: 'u32', value: 8 });
  assert.equal(keys.expert_group_used_count, { type: 'u32', value: 4 });
  assert.equal(keys.expert_weights_norm, { type: 'bool', value: true });
  assert.equal(keys.expert_weights_scale, { type: 'f32', value: 2.5 });
});

test('groups that choose nothing are one group: greedy, and all of them chosen', async () => {
  assert.is(await numberOf({ ...V2, n_group: 4, topk_group: 2 }, 'expert_group_count'), 1);
  assert.is(await numberOf({ ...DEEPSEEK, n_group: 4, topk_group: 4 }, 'expert_group_count'), 1);
});

test('a part of each head is rotated', async () => {
  const config = configOf('phi3', { partial_rotary_factor: 0.75 });
  const { head_dim: headDim } = (await complete(config)) as { head_dim: number };
  assert.is(await numberOf(config, 'rope.dimension_count'), headDim * 0.75);
});

test("yarn's factor on cosines is given as a multiple of the one that llama.cpp computes", async () => {
  const factor = async (settings: JsonObject) =>
    numberOf(configOf('llama-gqa', rope(settings)), 'rope.scaling.attn_factor');
  const natural = 1 + 0.1 * Math.log(4);
  assert.is(await factor(YARN), undefined);
  assert.ok(Math.abs(((await factor({ ...YARN, attention_factor: 1.4 })) as number) - 1.4 / natural) < 1e-9);
  const ratio = natural / (1 + 0.05 * Math.log(4));
  const both = (await factor({ ...YARN, mscale: 1, mscale_all_dim: 0.5 })) as number;
  assert.ok(Math.abs(both - ratio / natural) < 1e-9);
});

test('windows of Gemma: every second or sixth layer has none, else the pattern is written', async () => {
  const pattern = 'attention.sliding_window_pattern';
  assert.is((await metadataOf(GEMMA2))[pattern], undefined);
  const layers = GEMMA2.num_hidden_layers as number;
  const types = Array.from({ length: layers }, (_, layer) => (layer === 0 ? 'full_attention' : 'sliding_attention'));
  assert.equal((await metadataOf({ ...GEMMA2, layer_types: types }))[pattern], {
    type: 'bool',
    values: types.map((each) => each === 'sliding_attention'),
  });
  const none = await metadataOf({ ...GEMMA2, layer_types: new Array(layers).fill('full_attention') });
  assert.is(none[pattern], undefined);
  assert.equal(none['attention.sliding_window'], { type: 'u32', value: GEMMA2.max_position_embeddings as number });
});

test('the name says Phi-3 where special tokens swallow spaces as its tokens do, and nowhere else', async () => {
  const name = async (config: JsonObject, isPhi3: boolean) => {
    const found = (await metadataOf(config, isPhi3))['general.name'];
    return 'value' in found ? found.value : undefined;
  };
  const phi3 = configOf('phi3', { _name_or_path: 'microsoft/Phi-3.5-mini-instruct' });
  assert.is(await name(phi3, true), 'Phi-3.5-mini-instruct');
  assert.is(await name(phi3, false), 'Phi 3.5-mini-instruct');
  assert.is(await name(configOf('phi3', { _name_or_path: undefined as never }), false), 'phi 3');
  assert.is(await name(configOf('phi3', { _name_or_path: 'my-model' }), true), 'my-model phi3');
  const keeping = ['<unk>', '<s>', '<|endoftext|>'].map((content) => ({ content, rstrip: false }));
  const swallowing = ['</s>', '<|user|>'].map((content) => ({ content, rstrip: true }));
  assert.is(swallowsSpacesAsPhi3([...keeping, ...swallowing]), true);
  assert.is(swallowsSpacesAsPhi3(swallowing), false);
  assert.is(swallowsSpacesAsPhi3([...keeping, { content: '</s>', rstrip: false }]), false);
  assert.is(swallowsSpacesAsPhi3([]), false);
});

/** The graph of a checkpoint and what it computes with that no tensor stores. */
async function drawn(path: string) {
  const { config: found } = openCheckpoint(path);
  const architecture = (await find('architectures', found.model_type as string))!;
  const { nodes, weights } = architecture.build(architecture.parseConfig(found), { contextLength: 32 });
  return { nodes, tables: Object.entries(weights).filter(([, { source }]) => typeof source !== 'string') };
}

async function asGguf(input: string, weights = 'f32'): Promise<string> {
  const output = `${input}-${weights}`;
  const settings = { output, dryRun: false, workers: 0 };
  const quiet = () => {};
  await quantize(input, { layout: 'gguf', weights }, settings, quiet, new AbortController().signal, quiet);
  return join(output, 'model.gguf');
}

// settings that are told by the metadata alone come back as the same model
const there: [string, JsonObject][] = [
  ['granite', configOf('granite')],
  ['gemma2', GEMMA2],
  ['gemma3', { ...GEMMA3, final_logit_softcapping: 20 }],
  [
    'smollm3',
    configOf('smollm3-window', {
      attention_bias: false,
      mlp_bias: false,
      no_rope_layers: [1, 1, 1, 0],
      use_sliding_window: false,
      sliding_window: null,
      layer_types: new Array(4).fill('full_attention'),
    }),
  ],
  ['llama with yarn', configOf('llama-gqa', rope({ ...YARN, attention_factor: 1.4 }))],
];
for (const [what, config] of there) {
  test(`${what}: what is read again is the same model`, async () => {
    const input = join(dir, what);
    await writeRandomCheckpoint(input, config, 7);
    assert.equal(await drawn(await asGguf(input)), await drawn(input));
  });
}

test('phi3 with a part of each head: what is read again is the same model', async () => {
  const input = join(dir, 'phi3-part');
  cpSync(join(fixtures, 'phi3'), input, { recursive: true });
  writeFileSync(join(input, 'config.json'), JSON.stringify(configOf('phi3', { partial_rotary_factor: 0.75 })));
  assert.equal(await drawn(await asGguf(input)), await drawn(input));
});

test.run();
