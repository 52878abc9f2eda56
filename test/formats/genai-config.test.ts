import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Architecture } from '../../src/core/architecture.js';
import { GENAI_VERSIONS, genaiModelType, refusingType } from '../../src/core/genai-versions.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { find, ids } from '../../src/registry.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { plan } from '../../src/stages/plan.js';
import { fixture } from '../reference/fixtures.js';

/**
 * onnxruntime-genai src/models/model_type.h, `ModelType::IsLLM`: at v0.13.0 and v0.13.2, v0.15.2, and a0c04eb (0.16.0-dev).
 * Any other type is "Unsupported model_type in config.json" (src/models/model.cpp, CreateModel).
 */
const LLM: Record<string, string> = {
  '0.13':
    'chatglm decoder ernie4_5 gemma gemma2 gemma3_text gpt2 gptoss granite internlm2 llama mistral nemotron olmo phi ' +
    'phimoe phi3 phi3small qwen2 qwen3 smollm3',
  '0.15':
    'chatglm decoder ernie4_5 gemma gemma2 gemma3_text gemma4_text gpt2 gptoss granite hunyuandensev1 internlm2 lfm2 ' +
    'llama mistral nemotron olmo phi phimoe phi3 phi3small qwen2 qwen3 qwen3_5_moe_text qwen3_5_text smollm3',
  '0.16':
    'chatglm decoder ernie4_5 gemma gemma2 gemma3_text gemma4_text gpt2 gptoss granite granitemoehybrid ' +
    'hunyuandensev1 internlm2 lfm2 llama mistral nemotron olmo phi phimoe phi3 phi3small qwen2 qwen3 ' +
    'qwen3_5_moe_text qwen3_5_text smollm3',
};

const configOf = async (name: string, request: ConvertRequest = {}): Promise<Record<string, JsonObject>> => {
  const { texts } = await plan(openCheckpoint(fixture(name)), request);
  return JSON.parse(texts.find((each) => each.name === 'genai_config.json')!.content);
};

test('every family gets a type that the runtime knows, its own where it has one', async () => {
  for (const version of GENAI_VERSIONS) {
    const known = LLM[version].split(' ');
    for (const family of [...ids('architectures'), 'granitemoehybrid', 'gemma4_text', 'never_heard_of']) {
      const type = genaiModelType(family, version);
      assert.is(type, known.includes(family) ? family : 'decoder', `${family} for ${version}`);
    }
    for (const type of ['decoder', 'decoder-pipeline']) assert.equal(refusingType(type, [version]), []);
    assert.equal(refusingType('mixtral', [version]), [version]);
  }
  for (const family of ids('architectures')) {
    const { example } = (await find('architectures', family)) as Architecture;
    for (const known of Object.values(LLM)) {
      assert.ok(known.split(' ').includes(genaiModelType(example.model_type as string)), family);
    }
  }
  assert.is(genaiModelType('gemma4_text'), 'decoder', 'only what every release knows');
});

for (const [name, type] of [
  ['mixtral', 'decoder'],
  ['qwen3-moe', 'decoder'],
  ['deepseek-v3', 'decoder'],
  ['deepseek-v2-lite', 'decoder'],
  ['qwen3', 'qwen3'],
]) {
  test(`${name} is a ${type}, whose caches have one shape and are shared where the operator can`, async () => {
    const { texts, graphs } = await plan(openCheckpoint(fixture(name)), {});
    const { model, search } = JSON.parse(texts.find((each) => each.name === 'genai_config.json')!.content);
    assert.is(model.type, type);
    const { inputs, outputs, num_key_value_heads, head_size, num_hidden_layers } = model.decoder;
    const { graph } = graphs[0];
    for (let layer = 0; layer < num_hidden_layers; layer++) {
      for (const [pattern, side] of [
        [inputs.past_key_names, graph.inputs],
        [inputs.past_value_names, graph.inputs],
        [outputs.present_key_names, graph.outputs],
        [outputs.present_value_names, graph.outputs],
      ] as const) {
        const { shape } = side.find((each) => each.name === pattern.replace('%d', String(layer)))!;
        assert.equal([shape[1], shape[3]], [num_key_value_heads, head_size], `${pattern} ${layer}`);
      }
    }
    assert.is(
      search.past_present_share_buffer,
      graph.nodes.some(({ op }) => op === 'GroupQueryAttention'),
    );
  });
}

test('--runtime names a release, and an unknown one is refused', async () => {
  for (const version of GENAI_VERSIONS) {
    const { model } = await configOf('qwen3-moe', { runtime: `genai@${version}` });
    assert.is(model.type, 'decoder');
  }
  for (const runtime of ['genai@0.9', 'genai', '0.15', 'ort@1.30']) {
    try {
      await configOf('qwen3', { runtime });
      assert.unreachable(runtime);
    } catch (error) {
      assert.match((error as Error).message, /--runtime .*genai@0\.13, genai@0\.15, genai@0\.16/);
    }
  }
});

test('--foundry writes what its scanner looks for beside genai_config.json', async () => {
  const { texts } = await plan(openCheckpoint(fixture('qwen3')), { foundry: 'tiny-qwen3:1' });
  const found = texts.find(({ name }) => name === 'inference_model.json');
  assert.equal(JSON.parse(found?.content ?? ''), { Name: 'tiny-qwen3:1', PromptTemplate: null });
  for (const foundry of ['', '../x', 'a:b']) {
    try {
      await plan(openCheckpoint(fixture('qwen3')), { foundry });
      assert.unreachable(foundry);
    } catch (error) {
      assert.match((error as Error).message, /--foundry/);
    }
  }
});

test('a pipeline names a layer that is none in its window, so that no cache is as short as a window', async () => {
  const { model } = await configOf('qwen2-untied', { target: 'qnn' });
  const { sliding_window, num_hidden_layers } = model.decoder as Record<string, JsonObject>;
  assert.equal((sliding_window as JsonObject).layers, [num_hidden_layers]);
});

test.run();
