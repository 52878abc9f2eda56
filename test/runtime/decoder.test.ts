import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EnvironmentError, InterruptedError, InvalidInputError } from '../../src/core/errors.js';
import type { Decoder } from '../../src/runtime/decoder.js';
import { loadOnnxRuntime } from '../../src/runtime/onnxruntime.js';
import { openDecoder } from '../../src/runtime/open-decoder.js';
import { largestDifference, rejects } from './expectations.js';
import { type TinyKind, tinyGenaiConfig, writeTinyPackage } from './tiny-package.js';

const IDS = [5, 6, 7, 8, 9, 10, 11, 12, 4, 0, 28, 13];
const TOLERANCE = 5e-6;

async function withDecoder(dir: string, body: (decoder: Decoder) => Promise<void>): Promise<void> {
  const decoder = await openDecoder(dir);
  try {
    await body(decoder);
  } finally {
    await decoder.close();
    rmSync(dir, { recursive: true });
  }
}

for (const kind of ['cached', 'latent'] satisfies TinyKind[]) {
  for (const shared of [false, true]) {
    const which = `${kind}, ${shared ? 'shared buffer' : 'cache fed back'}`;

    test(`decoding step by step and in chunks equals one prefill (${which})`, () =>
      withDecoder(writeTinyPackage(kind, shared), async (decoder) => {
        const whole = await decoder.logitsOf([IDS]);
        const row = (i: number) => whole.subarray(i * decoder.vocabSize, (i + 1) * decoder.vocabSize);
        // A capacity below the length makes the shared buffer grow in between.
        const steps = decoder.start(1);
        for (const [i, id] of IDS.entries()) {
          assert.ok(largestDifference(await steps.append([id]), row(i)) < TOLERANCE, `step ${i}`);
        }
        assert.is(steps.length, IDS.length);
        for (const chunk of [1, 5, 12, 99]) {
          const all = await decoder.start().append(IDS, { chunk });
          assert.ok(largestDifference(all, whole) < TOLERANCE, `chunks of ${chunk}`);
          const last = await decoder.start().append(IDS, { chunk, logits: 'last' });
          assert.ok(largestDifference(last, row(IDS.length - 1)) < TOLERANCE, `last of chunks of ${chunk}`);
        }
      }));

    test(`truncation forgets what was appended (${which})`, () =>
      withDecoder(writeTinyPackage(kind, shared), async (decoder) => {
        const whole = await decoder.logitsOf([IDS]);
        const sequence = decoder.start(3);
        await sequence.append([...IDS.slice(0, 4), 20, 21, 22]);
        sequence.truncate(4);
        assert.is(sequence.length, 4);
        const rest = await sequence.append(IDS.slice(4));
        assert.ok(largestDifference(rest, whole.subarray(4 * decoder.vocabSize)) < TOLERANCE);
        sequence.truncate(0);
        assert.ok(largestDifference(await sequence.append(IDS), whole) < TOLERANCE, 'from the beginning');
        sequence.truncate(500);
        assert.is(sequence.length, IDS.length, 'truncation never lengthens');
      }));

    test(`sequences and batches do not disturb each other (${which})`, () =>
      withDecoder(writeTinyPackage(kind, shared), async (decoder) => {
        const other = IDS.map((id) => (id * 7 + 3) % decoder.vocabSize);
        const both = await decoder.logitsOf([IDS, other]);
        const [a, b] = [decoder.start(2), decoder.start(2)];
        const length = IDS.length * decoder.vocabSize;
        for (const [i, id] of IDS.entries()) {
          const at = i * decoder.vocabSize;
          const end = at + decoder.vocabSize;
          assert.ok(largestDifference(await a.append([id]), both.subarray(at, end)) < TOLERANCE);
          const logits = await b.append([other[i] as number]);
          assert.ok(largestDifference(logits, both.subarray(length + at, length + end)) < TOLERANCE);
        }
      }));
  }
}

test('a sequence ends at the context length, and a failed append leaves it as it was', () =>
  withDecoder(writeTinyPackage('cached', true), async (decoder) => {
    assert.is(decoder.contextLength, 96);
    const sequence = decoder.start(4);
    await sequence.append(Array.from({ length: 95 }, (_, i) => i % 29));
    await rejects(sequence.append([1, 2]), InvalidInputError, /97 tokens do not fit .* context of 96/);
    assert.is(sequence.length, 95);
    await sequence.append([1]);
    await rejects(sequence.append([1]), InvalidInputError, /context of 96/);
  }));

test('ids outside the vocabulary and ragged batches are refused', () =>
  withDecoder(writeTinyPackage(), async (decoder) => {
    await rejects(decoder.logitsOf([[1, 29]]), InvalidInputError, /token id 29 .* 0 to 28/);
    await rejects(decoder.logitsOf([[-1]]), InvalidInputError, /token id -1/);
    await rejects(decoder.logitsOf([[1], [1, 2]]), InvalidInputError, /equal length/);
    await rejects(decoder.start().append([]), InvalidInputError, /at least one/);
    await rejects(decoder.start().append([0.5]), InvalidInputError, /token id 0.5/);
  }));

test('a long prompt can be interrupted between chunks', () =>
  withDecoder(writeTinyPackage(), async (decoder) => {
    const signal = AbortSignal.abort();
    await rejects(decoder.start().append(IDS, { chunk: 2, logits: 'last', signal }), InterruptedError, /prompt/);
  }));

test('graphs that do not fit genai_config.json are refused by name', async () => {
  const change = (edit: (decoder: ReturnType<typeof tinyGenaiConfig>['model']['decoder']) => void): string => {
    const dir = writeTinyPackage();
    const config = tinyGenaiConfig('cached', false);
    edit(config.model.decoder);
    writeFileSync(join(dir, 'genai_config.json'), JSON.stringify(config));
    return dir;
  };
  const cases: [string, RegExp][] = [
    [change((d) => Object.assign(d.inputs, { past_key_names: 'keys.%d' })), /input "past_key_values.0.key" that/],
    [
      change((d) => Object.assign(d.outputs, { present_key_names: 'now.%d' })),
      /no output "now.0.key"|no output "now.0"/,
    ],
    [change((d) => Object.assign(d.outputs, { logits: 'scores' })), /output "scores" is missing/],
    [
      change((d) => Object.assign(d.inputs, { past_key_names: 'a.%d', past_value_names: 'b.%d' })),
      /no cache inputs named "a.%d"/,
    ],
    [change((d) => Object.assign(d, { filename: '../model.onnx' })), /leaves the package/],
    [change((d) => Object.assign(d, { filename: 'other.onnx' })), /other.onnx: this file is missing/],
  ];
  for (const [dir, message] of cases) {
    await rejects(openDecoder(dir), InvalidInputError, message);
    rmSync(dir, { recursive: true });
  }
});

test('a damaged graph is told with its file name', async () => {
  const dir = writeTinyPackage();
  const file = join(dir, 'model.onnx');
  writeFileSync(file, readFileSync(file).subarray(0, 1000));
  await rejects(openDecoder(dir), InvalidInputError, /model\.onnx: ONNX Runtime cannot load this graph/);
  rmSync(dir, { recursive: true });
});

test('without onnxruntime-node the error says how to install it', async () => {
  const missing = loadOnnxRuntime(() => Promise.reject(new Error("Cannot find package 'onnxruntime-node'\nat x")));
  const error = await rejects(missing, EnvironmentError, /onnxruntime-node does not load .*Cannot find package/);
  assert.is(error.exitCode, 4);
  assert.match(error.advice as string, /npm install onnxruntime-node/);
  assert.not.match(error.message, /at x/);
});

test.run();
