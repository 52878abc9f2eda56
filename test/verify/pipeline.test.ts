import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph } from '../../src/core/graph.js';
import type { VerifyReport } from '../../src/core/verify-report.js';
import { calibrate } from '../../src/stages/calibrate.js';
import { convert } from '../../src/stages/convert.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { verify } from '../../src/stages/verify.js';
import { fixture } from '../reference/fixtures.js';
import { packages } from '../stages/packages.js';
import { PackageUnderChange } from './faults/tampering.js';

const made = packages();
const LLAMA = fixture('llama-gqa');
/** Windows of 16 in sequences of 24 and 72 tokens. */
const PIPELINE: ConvertRequest = { target: 'qnn', activations: 'f32', prefill: 16 };

function run(path: string, reference = LLAMA): Promise<VerifyReport> {
  return verify({ path, reference, gates: [], strict: false, threads: 1, reproduce: '', onProgress: () => {} });
}

const said = ({ checks, localisation }: VerifyReport): string =>
  [
    ...checks.filter(({ verdict }) => verdict === 'fail').map(({ message }) => message),
    ...(localisation?.findings ?? []),
  ].join('\n');

let count = 0;
async function changed(
  request: ConvertRequest,
  file: string,
  change: (graph: Graph, made: PackageUnderChange) => void,
): Promise<VerifyReport> {
  const dir = join(made.work, `changed-${count++}`);
  cpSync(await made.of('llama-gqa', request), dir, { recursive: true });
  const tampered = new PackageUnderChange(dir);
  tampered.graph((graph) => change(graph, tampered), file);
  await tampered.seal();
  return run(dir);
}

const node = (graph: Graph, name: RegExp) => {
  const found = graph.nodes.find((each) => name.test(each.name));
  if (!found) throw new Error(`no node ${name}`);
  return found;
};

const wrongEpsilon = (graph: Graph) => {
  node(graph, /layers\.1\/input_layernorm/).attributes.epsilon = { float: 1e-2 };
};
/** Adds to the values of the small constant that a node has as an input. */
const shiftConstant = (graph: Graph, name: RegExp, input: RegExp, by: number) => {
  const constant = node(graph, name).inputs.find((each) => input.test(each)) as string;
  const found = graph.initializers.find((each) => each.name === constant);
  if (!found || !('values' in found.content)) throw new Error(`no constant ${constant}`);
  const shifted = `${constant}/shifted`;
  const values = found.content.values.map((each) => each + by);
  graph.initializers.push({ ...found, name: shifted, content: { ...found.content, values } });
  const { inputs } = node(graph, name);
  inputs[inputs.indexOf(constant)] = shifted;
};

for (const attention of ['npu', 'gqa'] as const) {
  const request = { ...PIPELINE, attention };

  test(`${attention}: a right pipeline passes, every window of it within the bound and its layers shown`, async () => {
    const report = await run(await made.of('llama-gqa', request));
    assert.is(report.verdict, 'pass', said(report));
    assert.equal(
      report.windows?.map(({ set, sequence, from, tokens }) => `${set} ${sequence} ${from} ${tokens}`),
      [
        ...[0, 1].flatMap((sequence) => [`input_ids ${sequence} 0 16`, `input_ids ${sequence} 16 8`]),
        ...[0, 16, 32, 48, 64].map((from) => `long.input_ids 0 ${from} ${Math.min(16, 72 - from)}`),
      ],
    );
    assert.is(report.layers.length, 3);
    const exact = report.checks.filter(({ id }) => /in float32$/.test(id));
    assert.equal(
      exact.map(({ limit }) => limit),
      [2e-4, 2e-4],
    );
  });

  test(`${attention}: a wrong epsilon in the graph of windows is caught behind the head's rounding`, async () => {
    const report = await changed(request, 'context.onnx', wrongEpsilon);
    assert.is(report.verdict, 'fail');
    assert.match(said(report), /layer 1 input_layernorm is the first value inside the graph of prompt windows/);
    assert.is(report.localisation?.firstLayer, 1);
  });

  test(`${attention}: a wrong epsilon in the iterator is caught behind the head's rounding`, async () => {
    const report = await changed(request, 'iterator.onnx', wrongEpsilon);
    assert.is(report.verdict, 'fail');
    assert.match(said(report), /layer 1 input_layernorm is the first value inside the iterator/);
    assert.is(report.localisation?.firstLayer, 1);
  });
}

const NPU: ConvertRequest = { ...PIPELINE, attention: 'npu' };
const GQA: ConvertRequest = { ...PIPELINE, attention: 'gqa' };
const faults: [what: string, request: ConvertRequest, file: string, change: (graph: Graph) => void, says: RegExp][] = [
  [
    'positions of windows one late',
    NPU,
    'context.onnx',
    (graph) => shiftConstant(graph, /positions\/Add$/, /INT32/, 1),
    /graph of prompt windows.*agrees if positions are counted one too high/s,
  ],
  [
    'a mask that hides a token from itself',
    NPU,
    'context.onnx',
    (graph) => {
      node(graph, /attn_mask\/LessOrEqual/).op = 'Less';
    },
    /layer 0 attn/,
  ],
  [
    'a mask that is not there',
    NPU,
    'iterator.onnx',
    (graph) => {
      const where = node(graph, /attn_mask\/Where/);
      where.inputs[2] = where.inputs[1];
    },
    /iterator/,
  ],
  [
    'past_seq_len that counts from the window',
    GQA,
    'context.onnx',
    (graph) => {
      const [attention] = graph.nodes.filter(({ op }) => op === 'GroupQueryAttention').slice(-1);
      graph.initializers.push({
        name: 'fixed',
        dtype: 'INT32',
        shape: [1, 1],
        content: { values: [15] },
      });
      attention.inputs[attention.inputs.indexOf('past_seq_len')] = 'fixed';
    },
    /layer 1 attn.*graph of prompt windows/,
  ],
  [
    'keys of the window before that are not kept',
    NPU,
    'context.onnx',
    (graph) => {
      const scatter = node(graph, /layers\.1\/attn\/GroupQueryAttention\/k\/ScatterElements/);
      scatter.inputs[0] = 'past_keys_0';
    },
    /window|cache|prompt/,
  ],
];
for (const [what, request, file, change, says] of faults) {
  test(`fault: ${what}`, async () => {
    const report = await changed(request, file, change);
    assert.is(report.verdict, 'fail', report.summary);
    assert.match(said(report), says);
  });
}

for (const attention of ['npu', 'gqa'] as const) {
  test(`fault: rotary tables of a pipeline one position late, attention ${attention}`, async () => {
    const dir = join(made.work, `tables-${attention}`);
    cpSync(await made.of('llama-gqa', { ...PIPELINE, attention }), dir, { recursive: true });
    const tampered = new PackageUnderChange(dir);
    const { parts } = tampered.manifest.tensors['context.onnx'].cos_cache;
    tampered.bytes(Object.values(parts)[0], (bytes) => bytes.copyWithin(64, 0, bytes.length - 64));
    await tampered.seal();
    const report = await run(dir);
    assert.is(report.verdict, 'fail');
    assert.match(said(report), /cos_cache: is one position late/);
  });
}

test('uint16 activations: a right pipeline passes, and a wrong epsilon is caught behind their rounding', async () => {
  const calibration = join(made.work, 'ranges.safetensors');
  await calibrate(LLAMA, { output: calibration });
  const request: ConvertRequest = { target: 'qnn', weights: 'int8', prefill: 16 };
  const output = join(made.work, 'uint16');
  const settings = { output, dryRun: false, workers: 0, calibration };
  await convert(LLAMA, request, settings, () => {}, new AbortController().signal);
  const right = await run(output);
  assert.is(right.verdict, 'pass', said(right));
  assert.ok(right.checks.some(({ id }) => /^decode .* in float32$/.test(id)));
  const tampered = new PackageUnderChange(output);
  tampered.graph((graph) => wrongEpsilon(graph), 'context.onnx');
  await tampered.seal();
  const wrong = await run(output);
  assert.is(wrong.verdict, 'fail');
  assert.match(said(wrong), /layer 1 input_layernorm/);
});

test.after(() => made.remove());
test.run();
