import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import type { LintedPackage } from '../../src/core/lint.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { lintPackage } from '../../src/stages/lint-package.js';
import { lintRuntime } from '../../src/targets/lint/lint.js';
import { RUNTIME_RULES } from '../../src/targets/lint/runtime-rules.js';
import { packages } from '../stages/packages.js';
import { lint, planned } from './planted.js';

type Config = Record<string, Record<string, JsonObject>>;
const CPU = ['deepseek-v2-lite', 'deepseek-v3', 'gemma2', 'llama-hd8', 'mixtral', 'phi3', 'qwen2-window', 'qwen3-moe'];

for (const name of CPU) {
  test(`${name}: nothing that the runtime would refuse in what is planned for the CPU`, async () => {
    const forms: ConvertRequest = {
      ...(name.startsWith('deepseek') ? { mla: 'expanded' } : {}),
      ...(/moe|mixtral|deepseek/.test(name) ? { experts: 'plain' } : {}),
    };
    for (const request of [{}, forms]) {
      assert.equal(lintRuntime(await planned(name, request)), []);
    }
  });
}

interface Fault {
  rule: string;
  request: ConvertRequest;
  name: string;
  plant(subject: LintedPackage, config: Config): void;
}

const PIPELINE = { name: 'qwen2-untied', request: { target: 'qnn' } };
const FAULTS: Fault[] = [
  {
    rule: 'model-type',
    name: 'mixtral',
    request: {},
    plant: (_, { model }) => Object.assign(model, { type: 'mixtral' }),
  },
  {
    rule: 'model-type',
    name: 'qwen3',
    request: {},
    plant: (_, { model }) => Object.assign(model, { type: 'granitemoehybrid' }),
  },
  {
    rule: 'release-fields',
    ...PIPELINE,
    plant: (_, { model }) => Object.assign(model.decoder.sliding_window as JsonObject, { cache_slack: 16 }),
  },
  {
    rule: 'window-layers',
    ...PIPELINE,
    plant: (_, { model }) => delete (model.decoder.sliding_window as JsonObject).layers,
  },
  {
    rule: 'window-layers',
    ...PIPELINE,
    plant: (_, { model }) => Object.assign(model.decoder.sliding_window as JsonObject, { layers: [0] }),
  },
  { rule: 'pad-id', name: 'qwen3', request: {}, plant: (_, { model }) => Object.assign(model, { pad_token_id: -1 }) },
  {
    rule: 'cache-pair',
    name: 'deepseek-v3',
    request: {},
    plant({ graphs }) {
      graphs[0].graph.inputs = graphs[0].graph.inputs.filter(({ name }) => !name.endsWith('.value'));
    },
  },
  {
    rule: 'cache-pair',
    name: 'qwen3',
    request: {},
    plant({ graphs }) {
      graphs[0].graph.inputs.find(({ name }) => name === 'past_key_values.0.value')!.shape[3] = 8;
    },
  },
  {
    rule: 'shared-buffer',
    name: 'deepseek-v3',
    request: {},
    plant: (_, { search }) => Object.assign(search, { past_present_share_buffer: true }),
  },
  {
    rule: 'window-opset',
    name: 'mistral-swa',
    request: {},
    plant({ graphs }) {
      graphs[0].graph.opsets[''] = 21;
    },
  },
];

for (const { rule, name, request, plant } of FAULTS) {
  test(`${rule}: found where it is planted in ${name}, and nothing else`, async () => {
    const subject = await planned(name, request);
    const before = lintRuntime(subject).map((each) => each.rule);
    assert.not.ok(before.includes(rule));
    plant(subject, subject.genai as unknown as Config);
    const found = lintRuntime(subject).map((each) => each.rule);
    assert.equal([...new Set(found.filter((each) => !before.includes(each)))], [rule]);
  });
}

test('every rule is planted, and holds for every target', async () => {
  const planted = new Set(FAULTS.map(({ rule }) => rule));
  assert.equal(
    RUNTIME_RULES.filter(({ id }) => !planted.has(id)),
    [],
  );
  for (const target of ['qnn', 'openvino', 'vitisai']) {
    const subject = await planned('qwen3', { target });
    Object.assign(subject.genai!.model as JsonObject, { type: 'never_heard_of' });
    assert.ok(
      (await lint(target, subject)).some(({ rule }) => rule === 'model-type'),
      target,
    );
  }
});

const made = packages();
test.after(() => made.remove());

test('a package that was read back says the same, by "inspect --lint genai"', async () => {
  const { findings } = await lintPackage(await made.of('qwen2-tied', {}), 'genai');
  assert.equal(findings, []);
});

test.run();
