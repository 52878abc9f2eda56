import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { Graph } from '../../src/core/graph.js';
import { encodeModel } from '../../src/formats/onnx.js';
import { readModel } from '../../src/formats/onnx-reader.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { describeLint } from '../../src/stages/lint.js';
import { lintPackage } from '../../src/stages/lint-package.js';
import { packages } from '../stages/packages.js';
import { lint, planned } from './planted.js';

const DENSE = [
  ...['gemma2', 'llama-gqa', 'llama-hd8', 'llama-linear-v5cfg', 'mistral-swa', 'phi3', 'qwen2-tied', 'qwen2-untied'],
  ...['qwen2-window', 'qwen3', 'union-1.8m'],
];
const made = packages();
const rules = (findings: { rule: string }[]) => [...new Set(findings.map(({ rule }) => rule))].sort();

for (const target of ['qnn', 'openvino', 'vitisai']) {
  test(`${target}: what is planned by default has no error and no warning, in every dense family`, async () => {
    for (const name of DENSE) {
      const findings = await lint(target, await planned(name, { target }));
      assert.equal(
        findings.filter(({ severity }) => severity !== 'note'),
        [],
        name,
      );
    }
  });

  test(`${target}: a package that was read back says the same as its plan`, async () => {
    const dir = await made.of('qwen3', { target });
    const { findings, errors, warnings } = await lintPackage(dir, target);
    assert.equal([errors, warnings], [0, 0]);
    assert.equal(rules(findings), rules(await lint(target, await planned('qwen3', { target }))));
  });
}

const REFEREES: [request: ConvertRequest, warnings: string[]][] = [
  [{ activations: 'f32' }, ['float-activations']],
  [{ activations: 'f16' }, ['float-activations']],
  [{ attention: 'gqa' }, ['cpu-islands']],
  [{ weights: 'f32' }, ['float-weights']],
  [{ weights: 'f16' }, ['float-weights']],
  [{ weights: 'int4', groupSize: '16' }, ['block-weights']],
  [{ weights: 'int8' }, []],
  [{ attention: 'gqa', activations: 'f16', weights: 'f16' }, ['cpu-islands', 'float-activations', 'float-weights']],
];
for (const [request, expected] of REFEREES) {
  test(`qnn with ${JSON.stringify(request)}: warnings alone, ${expected.join(', ') || 'none'}`, async () => {
    const findings = await lint('qnn', await planned('llama-gqa', { target: 'qnn', ...request }));
    assert.equal(
      findings.filter(({ severity }) => severity === 'error'),
      [],
    );
    assert.equal(rules(findings.filter(({ severity }) => severity === 'warning')), expected);
  });
}

test('a package for the CPU, and one for another device, are no packages for this one', async () => {
  const cpu = await lintPackage(await made.of('qwen3', {}), 'qnn');
  assert.equal(rules(cpu.findings.filter(({ severity }) => severity === 'error')), ['provider']);
  assert.match(cpu.findings[0].message, /no stage asks the provider qnn: they run on the CPU/);
  const other = await lintPackage(await made.of('qwen3', { target: 'openvino' }), 'vitisai');
  assert.match(other.findings[0].message, /they ask openvino/);
});

/** A copy of a package whose graph of this file is written again, changed. */
async function rewritten(change: (graph: Graph) => void, file = 'iterator.onnx'): Promise<string> {
  const dir = mkdtempSync(join(made.work, 'damaged-'));
  cpSync(await made.of('qwen3', { target: 'qnn' }), dir, { recursive: true });
  const { graph, external } = readModel(join(dir, file));
  const places = Object.fromEntries(
    graph.initializers.flatMap((each) => {
      if (!external[each.name]) return [];
      each.content = { weight: each.name, part: 'codes' };
      return [[each.name, external[each.name]] as const];
    }),
  );
  change(graph);
  writeFileSync(join(dir, file), encodeModel(graph, places, 'test'));
  return dir;
}

test('faults in the files themselves are found, by node', async () => {
  const dir = await rewritten((graph) => {
    const softmax = graph.nodes.find(({ op }) => op === 'Softmax');
    if (softmax) softmax.op = 'Hardmax';
    graph.inputs[0].shape[1] = 'sequence';
    const weight = graph.nodes.find(({ op, name }) => op === 'DequantizeLinear' && name.includes('up_proj'));
    weight?.inputs.pop();
  });
  const { findings } = await lintPackage(dir, 'qnn');
  const found = (rule: string) => findings.find((each) => each.rule === rule);
  assert.match(found('unsupported-operator')?.node ?? '', /layers\.0\/attn\/.*Softmax/);
  assert.match(found('dynamic-shape')?.message ?? '', /input_hidden_states \[1, sequence, 80\]/);
  assert.match(found('int4-zero-point')?.node ?? '', /layers\.0\/mlp\/up_proj/);
  assert.is(found('cpu-islands')?.file, 'iterator.onnx');
});

test('rewriting alone changes nothing', async () => {
  const { errors, warnings } = await lintPackage(await rewritten(() => {}), 'qnn');
  assert.equal([errors, warnings], [0, 0]);
});

test('a cut weight file is found, a damaged graph refused', async () => {
  const dir = await rewritten(() => {});
  truncateSync(join(dir, 'transformer.onnx.data'), 1000);
  const { findings } = await lintPackage(dir, 'qnn');
  assert.ok(findings.some(({ rule, message }) => rule === 'external-data' && /which has 1000/.test(message)));
  writeFileSync(join(dir, 'context.onnx'), 'no graph');
  try {
    await lintPackage(dir, 'qnn');
    assert.unreachable('it was read');
  } catch (error) {
    assert.instance(error, InvalidInputError);
    assert.match((error as Error).message, /context\.onnx: is no ONNX model/);
  }
});

test('an unknown device is a usage error that names those with rules', async () => {
  for (const target of ['cpu', 'npu', '../qnn']) {
    try {
      await lintPackage(await made.of('qwen3', {}), target);
      assert.unreachable(target);
    } catch (error) {
      assert.instance(error, UsageError);
      assert.match((error as Error).message, /devices with rules are openvino, qnn, vitisai/);
    }
  }
});

test('a terminal shows rule by rule what is wrong, what to do and who says so', async () => {
  const dir = await rewritten((graph) => {
    for (const node of graph.nodes) if (node.op === 'Conv') node.op = 'Hardmax';
  });
  const text = describeLint(await lintPackage(dir, 'qnn'));
  assert.match(text, /^lint for qnn: 21 errors, 1 warning, 1 note\n/);
  assert.match(
    text,
    /\n {2}error unsupported-operator\n {4}iterator\.onnx: \/model\/layers\.0\/attn\/q_proj\/Conv: QNN HTP/,
  );
  assert.match(text, /\n {4}and 13 more\n {4}what to do: .+\n {4}source: onnxruntime-qnn /);
});

test('inspect --lint exits with 1 on an error and 0 on warnings, the same under --json', async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const program = join(root, 'bin/dev.js');
  const broken = await rewritten((graph) => {
    graph.outputs[0].shape[1] = 'sequence';
  });
  const warned = await made.of('qwen3', { target: 'qnn', activations: 'f32' });
  for (const [dir, code] of [
    [broken, 1],
    [warned, 0],
  ] as const) {
    const [plain, json] = [[], ['--json']].map((more) =>
      spawnSync(process.execPath, [program, 'inspect', dir, '--lint', 'qnn', ...more], { cwd: root, encoding: 'utf8' }),
    );
    assert.equal([plain.status, json.status], [code, code], plain.stderr + json.stderr);
    assert.match(plain.stdout, code === 1 ? /error dynamic-shape/ : /0 errors, 2 warnings/);
    assert.is(JSON.parse(json.stdout).errors, code);
  }
});

test('the manifest of the tool is no part of it: packages of other tools are linted too', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'halfbyte-foreign-'));
  cpSync(await made.of('qwen3', { target: 'qnn' }), dir, { recursive: true });
  rmSync(join(dir, 'halfbyte.json'));
  const genai = JSON.parse(readFileSync(join(dir, 'genai_config.json'), 'utf8'));
  // one object with all stages, as older bundles have it
  genai.model.decoder.pipeline = Object.assign({}, ...genai.model.decoder.pipeline);
  writeFileSync(join(dir, 'genai_config.json'), JSON.stringify(genai));
  const { errors, warnings } = await lintPackage(dir, 'qnn');
  assert.equal([errors, warnings], [0, 0]);
  rmSync(dir, { recursive: true });
});

test.after(() => made.remove());
test.run();
