import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Calibration } from '../../src/core/calibration.js';
import { type HalfbyteError, InterruptedError, InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { Graph, GraphNode } from '../../src/core/graph.js';
import { readCalibration } from '../../src/formats/calibration.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { logicalTensors } from '../../src/model/logical-tensors.js';
import { drawGraphs, openModel } from '../../src/model/model.js';
import { evaluate } from '../../src/reference/evaluate.js';
import { storedWeights } from '../../src/reference/stored-weights.js';
import { PERCENTILES } from '../../src/reference/value-statistics.js';
import { readWhole } from '../../src/reference/weights.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { calibrate, calibration } from '../../src/stages/calibrate.js';
import { randomNumbers } from '../random-checkpoint.js';
import { fixture } from '../reference/fixtures.js';

const work = mkdtempSync(join(tmpdir(), 'halfbyte-calibrate-'));

function sequences(count: number, length: number, vocabulary: number): number[][] {
  const next = randomNumbers(11);
  const id = () => Math.floor(((next() + 1) / 2) * vocabulary);
  return Array.from({ length: count }, (_, index) => Array.from({ length: length - index }, id));
}

/** Every value of a model on some sequences, and how to read its small weights. */
async function valuesOf(name: string, ids: number[][]) {
  const checkpoint = openCheckpoint(fixture(name));
  const model = await openModel(checkpoint);
  const graph: Graph = drawGraphs(model, 64).decoder;
  const files = new InputFiles();
  const lookup = storedWeights(graph, await logicalTensors(checkpoint), files);
  const values = new Map<string, { data: Float32Array; width: number; node: GraphNode }>();
  await evaluate(graph, lookup, ids, {
    onValue: (value, data, width, node) => {
      values.set(value, { data: data.slice(), width, node });
    },
  });
  const weights = new Map<string, Float32Array>();
  for (const each of Object.keys(graph.weights)) weights.set(each, await readWhole(await lookup(each)));
  files.close();
  return { graph, values, weights };
}

const number = (node: GraphNode, key: string): number => {
  const value = node.attributes[key];
  return typeof value === 'object' && 'float' in value ? value.float : (value as number);
};

/** Scores of an Attention node over the pairs that it sees, in float64. */
function scoresOf(node: GraphNode, q: Float32Array, k: Float32Array, lengths: number[]): number[] {
  const [heads, kvHeads, dim] = [number(node, 'heads'), number(node, 'kv_heads'), number(node, 'head_dim')];
  const window = number(node, 'window') || Number.POSITIVE_INFINITY;
  const scores: number[] = [];
  let first = 0;
  for (const length of lengths) {
    for (let head = 0; head < heads; head++) {
      const key = Math.floor(head / (heads / kvHeads));
      for (let i = 0; i < length; i++) {
        for (let j = 0; j <= i; j++) {
          if (i - j >= window) continue;
          let sum = 0;
          for (let d = 0; d < dim; d++) {
            sum += q[(first + i) * heads * dim + head * dim + d] * k[(first + j) * kvHeads * dim + key * dim + d];
          }
          scores.push(sum * number(node, 'scale'));
        }
      }
    }
    first += length;
  }
  return scores;
}

function expectRange(found: Calibration['ranges'][string], values: ArrayLike<number>, name: string): void {
  const sorted = Float64Array.from(values).sort();
  const most = Math.max(-sorted[0], sorted[sorted.length - 1]);
  const near = (got: number, want: number, tolerance: number, what: string) =>
    assert.ok(Math.abs(got - want) <= tolerance, `${name}: ${what} is ${got}, not ${want}`);
  near(found.min, sorted[0], 2e-6 * most, 'minimum');
  near(found.max, sorted[sorted.length - 1], 2e-6 * most, 'maximum');
  for (const [index, percent] of PERCENTILES.entries()) {
    // One bin: 2048 of them cover at most four times the largest magnitude.
    const want = sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)];
    near(found.percentiles[index], want, most / 256, `percentile ${percent}`);
  }
}

for (const name of ['qwen2-untied', 'mistral-swa', 'qwen3', 'gemma2']) {
  test(`${name}: figures are those of the values themselves`, async () => {
    const ids = sequences(3, 20, 200);
    const lengths = ids.map((each) => each.length);
    const { graph, values, weights } = await valuesOf(name, ids);
    const found = await calibration(openCheckpoint(fixture(name)), { ids });
    assert.equal([found.origin.text, found.origin.tokens], ['given ids', 20 + 19 + 18]);

    const last = graph.hiddenStates[graph.hiddenStates.length - 1];
    const end = graph.nodes.findIndex((node) => node.outputs.includes(last));
    const expected = new Set<string>();
    const expectFor = (key: string, data: ArrayLike<number>) => {
      expected.add(key);
      assert.ok(found.ranges[key], `no range of ${key}`);
      expectRange(found.ranges[key], data, key);
    };
    for (const node of graph.nodes.slice(0, end + 1)) {
      for (const output of node.outputs) expectFor(output, values.get(output)!.data);
      if (node.op === 'RmsNorm') expectFor(node.inputs[1], weights.get(node.inputs[1])!);
      if (node.op === 'Linear' && node.inputs[2]) {
        const bias = weights.get(node.inputs[2])!;
        expectFor(node.inputs[2], bias);
        const { data, width } = values.get(node.outputs[0])!;
        expectFor(
          `${node.name}/product`,
          data.map((value, index) => value - bias[index % width]),
        );
      }
      if (node.op === 'Attention') {
        const [q, k] = node.inputs.map((input) => values.get(input)!.data);
        expectFor(`${node.name}/scores`, scoresOf(node, q, k, lengths));
      }
    }
    assert.equal(Object.keys(found.ranges).sort(), [...expected].sort());

    const linear = graph.nodes.filter(({ op }) => op === 'Linear');
    assert.equal(Object.keys(found.second_moments).sort(), linear.map(({ inputs }) => inputs[1]).sort());
    for (const { inputs } of linear) {
      const { data, width } = values.get(inputs[0])!;
      const sums = new Float64Array(width);
      data.forEach((value, index) => {
        sums[index % width] += value * value;
      });
      const moments = found.second_moments[inputs[1]];
      assert.is(moments.length, width);
      moments.forEach((moment, index) => {
        const want = sums[index] / (data.length / width);
        assert.ok(Math.abs(moment - want) <= 1e-6 * want + 1e-12, `${inputs[1]}[${index}]: ${moment}, not ${want}`);
      });
    }
  });
}

test('text beyond one batch gives what each part gives together', async () => {
  const checkpoint = openCheckpoint(fixture('llama-hd8'));
  const ids = sequences(50, 60, 200);
  const whole = await calibration(checkpoint, { ids });
  const parts = await Promise.all(
    [ids.slice(0, 20), ids.slice(20)].map((each) => calibration(checkpoint, { ids: each })),
  );
  assert.ok(whole.origin.tokens > 1024);
  for (const [name, range] of Object.entries(whole.ranges)) {
    const [low, high] = [
      Math.min(...parts.map((p) => p.ranges[name].min)),
      Math.max(...parts.map((p) => p.ranges[name].max)),
    ];
    const slack = 1e-5 * Math.max(-low, high);
    assert.ok(Math.abs(range.min - low) <= slack && Math.abs(range.max - high) <= slack, name);
  }
});

test('the same text gives the same bytes, and the file reads back as it was', async () => {
  const text = join(work, 'text.txt');
  writeFileSync(text, readFileSync(new URL('../../README.md', import.meta.url)));
  const [first, second] = [join(work, 'first.safetensors'), join(work, 'second.safetensors')];
  const made = await calibrate(fixture('union-1.8m'), { textFile: text, output: first, tokens: 600 });
  await calibrate(fixture('union-1.8m'), { textFile: text, output: second, tokens: 600 });
  assert.ok(readFileSync(first).equals(readFileSync(second)));
  assert.equal(made.origin, { text: 'given text', tokens: 600, ids_sha256: made.origin.ids_sha256 });
  const read = readCalibration(first);
  assert.equal(read.origin, made.origin);
  assert.is(Object.keys(read.ranges).length, made.ranges);
  assert.is(Object.keys(read.second_moments).length, made.secondMoments);
});

test('without a text: the bundled one, or pseudo-random ids where there is no tokenizer', async () => {
  assert.is((await calibration(openCheckpoint(fixture('union-1.8m')))).origin.text, 'bundled text');
  const { origin } = await calibration(openCheckpoint(fixture('qwen3')));
  assert.equal([origin.text, origin.tokens], ['pseudo-random ids', 512]);
});

test('mixtures of experts and latent attention have ranges and second moments too', async () => {
  for (const [name, weight] of [
    ['deepseek-v3', 'model.layers.1.self_attn.kv_b_proj.weight'],
    ['mixtral', 'model.layers.0.self_attn.q_proj.weight'],
  ]) {
    const { second_moments } = await calibration(openCheckpoint(fixture(name)), { ids: sequences(1, 30, 200) });
    assert.ok(
      second_moments[weight]?.every((each) => each > 0),
      `${name}: ${Object.keys(second_moments).join(' ')}`,
    );
  }
});

const file = (name: string, content: string): string => {
  writeFileSync(join(work, name), content);
  return join(work, name);
};

async function expectRefusal(
  run: Promise<unknown>,
  kind: typeof UsageError | typeof InvalidInputError,
  message: RegExp,
) {
  try {
    await run;
  } catch (error) {
    assert.instance(error, kind);
    assert.match((error as HalfbyteError).message, message);
    return;
  }
  assert.unreachable(`nothing was refused: ${message}`);
}

test('what cannot be calibrated on is refused before anything is written', async () => {
  const output = join(work, 'refused.safetensors');
  const text = file('some.txt', 'some text');
  const on = (checkpoint: string, request: object) => calibrate(fixture(checkpoint), { output, ...request });
  await expectRefusal(on('qwen3', { textFile: text }), UsageError, /no tokenizer\.json/);
  await expectRefusal(on('union-1.8m', { textFile: file('empty.txt', '') }), UsageError, /text is empty/);
  await expectRefusal(
    on('union-1.8m', { textFile: join(work, 'absent.txt') }),
    InvalidInputError,
    /absent\.txt: there is no/,
  );
  await expectRefusal(on('qwen3', { idsFile: file('ids.json', '{}') }), InvalidInputError, /no lists of token ids/);
  await expectRefusal(
    on('qwen3', { idsFile: file('ids.json', '[[1], []]') }),
    InvalidInputError,
    /no lists of token ids/,
  );
  await expectRefusal(
    on('qwen3', { idsFile: file('ids.json', '[[1, 2.5]]') }),
    InvalidInputError,
    /no lists of token ids/,
  );
  await expectRefusal(on('qwen3', { idsFile: file('ids.json', '[1, 99999]') }), UsageError, /Token id 99999/);
  await expectRefusal(
    on('qwen3', { idsFile: file('ids.json', JSON.stringify(new Array(5000).fill(1))) }),
    UsageError,
    /5000 ids/,
  );
  await expectRefusal(on('qwen3', { output: work }), UsageError, /is a directory/);
  await expectRefusal(on('qwen3', { output: join(text, 'below') }), UsageError, /some\.txt is a file, not a folder/);
  assert.not(existsSync(output));
  await expectRefusal(calibrate(fixture('qwen3'), { output: text }), UsageError, /did not write it/);
  assert.is(readFileSync(text, 'utf8'), 'some text');
  await calibrate(fixture('qwen3'), { output: text, force: true, tokens: 8 });
  assert.is(readCalibration(text).origin.tokens, 8);
  await expectRefusal(calibrate(fixture('qwen3'), { output: text }), UsageError, /exists already/);
});

test('a model that computes infinities is named', async () => {
  const dir = join(work, 'broken');
  mkdirSync(dir);
  const source = fixture('llama-hd8');
  copyFileSync(join(source, 'config.json'), join(dir, 'config.json'));
  const bytes = readFileSync(join(source, 'model.safetensors'));
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes));
  const { dtype, data_offsets: place } = header['model.layers.1.mlp.up_proj.weight'];
  assert.ok(dtype === 'F32' || dtype === 'BF16');
  const at = 8 + headerBytes + place[0];
  // 3e38, twice over in the sum
  for (let i = at; i < 8 + headerBytes + place[1]; i += dtype === 'F32' ? 4 : 2) {
    if (dtype === 'F32') bytes.writeFloatLE(3e38, i);
    else bytes.writeUInt16LE(0x7f61, i);
  }
  writeFileSync(join(dir, 'model.safetensors'), bytes);
  await expectRefusal(
    calibration(openCheckpoint(dir), { ids: sequences(1, 8, 100) }),
    InvalidInputError,
    /computes (-?Infinity|NaN) at .*layers\.1/,
  );
});

test('an interruption ends it', async () => {
  const controller = new AbortController();
  controller.abort();
  try {
    await calibration(openCheckpoint(fixture('qwen3')), { signal: controller.signal });
    assert.unreachable('it went on');
  } catch (error) {
    assert.instance(error, InterruptedError);
  }
});

test.after(() => rmSync(work, { recursive: true }));
test.run();
