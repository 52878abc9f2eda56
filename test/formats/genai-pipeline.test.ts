import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import type { Plan } from '../../src/core/plan.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { plan } from '../../src/stages/plan.js';
import { configIssues, GENAI_CONFIG } from '../../src/targets/lint/genai-schema.js';
import { fixture } from '../reference/fixtures.js';
import { matchSnapshot } from '../snapshot.js';

const planned = (name: string, request: ConvertRequest) => plan(openCheckpoint(fixture(name)), request);
const textOf = ({ texts }: Plan) => texts.find(({ name }) => name === 'genai_config.json')!.content;
const configOf = (made: Plan) => JSON.parse(textOf(made));

interface StageSettings {
  filename: string;
  inputs: string[];
  outputs: string[];
}
const stagesOf = (made: Plan): [string, StageSettings][] =>
  Object.entries(Object.assign({}, ...configOf(made).model.decoder.pipeline));

const CASES: [string, ConvertRequest][] = [
  ['qwen2-untied', { target: 'qnn' }],
  ['llama-gqa', { target: 'qnn', attention: 'gqa', activations: 'f16', prefill: 3 }],
  ['llama-hd8', { target: 'openvino', contextLength: 128 }],
  ['gemma2', { target: 'vitisai', activations: 'f32', weights: 'f32' }],
  ['union-1.8m', { target: 'qnn', embeddings: 'f16', lmHead: 'int8' }],
];

for (const [name, request] of CASES) {
  test(`${name} ${JSON.stringify(request)}: what the runtime reads, in names that the graphs have`, async () => {
    const made = await planned(name, request);
    const config = configOf(made);
    assert.equal(configIssues(config), []);
    assert.is(config.model.type, 'decoder-pipeline');
    const stages = stagesOf(made);
    assert.equal(
      stages.map(([stage]) => stage),
      ['embeddings', 'context', 'iterator', 'lm_head'],
    );
    const { inputs, outputs, num_hidden_layers } = config.model.decoder;
    const layers = (pattern: string) =>
      Array.from({ length: num_hidden_layers }, (_, layer) => pattern.replace('%d', String(layer)));
    const caches = [inputs.past_key_names, inputs.past_value_names].flatMap(layers);
    const renewed = [outputs.present_key_names, outputs.present_value_names].flatMap(layers);
    const known = new Set([inputs.input_ids, inputs.past_sequence_length, inputs.total_sequence_length, ...caches]);
    for (const [stage, settings] of stages) {
      const { graph } = made.graphs.find(({ file }) => file === settings.filename)!;
      assert.equal(
        settings.inputs,
        graph.inputs.map((each) => each.name),
        stage,
      );
      assert.equal(
        settings.outputs,
        graph.outputs.map((each) => each.name),
        stage,
      );
      for (const input of settings.inputs) assert.ok(known.has(input), `${stage}: nobody makes ${input}`);
      for (const output of settings.outputs) known.add(output);
      if (stage !== 'context' && stage !== 'iterator') continue;
      for (const each of caches) assert.ok(settings.inputs.includes(each), `${stage} has no input ${each}`);
      for (const each of renewed) assert.ok(settings.outputs.includes(each), `${stage} has no output ${each}`);
      const { shape } = graph.inputs.find((each) => each.name === caches[0])!;
      const { num_key_value_heads, head_size } = config.model.decoder;
      assert.equal(shape, [1, num_key_value_heads, config.search.max_length, head_size]);
    }
    assert.ok(known.has(outputs.logits));
  });
}

test('the settings of a pipeline, whole', async () => {
  matchSnapshot('qwen2.qnn.genai_config.json', textOf(await planned('qwen2-untied', { target: 'qnn' })));
});

test('the schema refuses what the runtime refuses', async () => {
  const sound = configOf(await planned('qwen2-untied', { target: 'qnn' }));
  const cases: [(config: Record<string, JsonObject>) => void, RegExp][] = [
    [({ model }) => Object.assign(model, { eos_token_id: [] }), /model\.eos_token_id/],
    [({ model }) => Object.assign(model.decoder as JsonObject, { head_dim: 8 }), /decoder.*head_dim/],
    [({ search }) => Object.assign(search, { past_present_share_buffer: 1 }), /search\.past_present_share_buffer/],
    [
      ({ model }) => Object.assign((model.decoder as JsonObject).sliding_window as JsonObject, { window_size: 0 }),
      /window_size/,
    ],
  ];
  for (const [change, message] of cases) {
    const config = structuredClone(sound);
    change(config);
    assert.match(configIssues(config).join('; '), message);
  }
});

test('every field of the schema says what it means', () => {
  const silent: string[] = [];
  const { model, search } = GENAI_CONFIG.shape;
  const walk = (path: string, fields: Record<string, { unwrap?: () => unknown; meta(): unknown }>) => {
    for (const [name, type] of Object.entries(fields)) {
      const inner = (type.unwrap?.() ?? type) as { meta(): { description?: string } | undefined; shape?: never };
      if (!inner.meta()?.description && !inner.shape && name !== 'pipeline') silent.push(`${path}.${name}`);
      if (inner.shape) walk(`${path}.${name}`, inner.shape);
    }
  };
  walk('model', model.shape as never);
  walk('search', search.unwrap().shape as never);
  assert.equal(silent, []);
});

test('several ids that end a text all stay', async () => {
  const { model } = configOf(await planned('llama-gqa', { target: 'qnn' }));
  const stated = openCheckpoint(fixture('llama-gqa')).config.eos_token_id;
  assert.ok(Array.isArray(stated) && stated.length > 1);
  assert.equal(model.eos_token_id, stated);
});

test.run();
