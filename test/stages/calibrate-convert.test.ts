import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Calibration } from '../../src/core/calibration.js';
import { type HalfbyteError, InvalidInputError, UsageError } from '../../src/core/errors.js';
import { readCalibration, writeCalibration } from '../../src/formats/calibration.js';
import { PERCENTILES } from '../../src/reference/value-statistics.js';
import { calibrate } from '../../src/stages/calibrate.js';
import { type ConvertResult, convert } from '../../src/stages/convert.js';
import type { ConvertRequest } from '../../src/stages/convert-options.js';
import { fixture } from '../reference/fixtures.js';

const work = mkdtempSync(join(tmpdir(), 'halfbyte-calibrated-'));
const file = join(work, 'qwen3.safetensors');
let count = 0;

async function run(name: string, request: ConvertRequest, calibration?: string, dryRun = false) {
  const notes: string[] = [];
  const output = join(work, `package-${count++}`);
  const settings = { output, dryRun, workers: 0, calibration };
  const { signal } = new AbortController();
  const result: ConvertResult = await convert(
    fixture(name),
    request,
    settings,
    () => {},
    signal,
    (note) => {
      notes.push(note);
    },
  );
  // This fixture has no tokenizer that would show a free id to fill prompts with.
  const pad = notes.filter((note) => /^genai_config\.json: pad_token_id 2 is also eos_token_id/.test(note));
  assert.is(pad.length, request.target === 'qnn' ? 1 : 0, notes.join());
  notes.splice(0, notes.length, ...notes.filter((note) => !pad.includes(note)));
  return { result, notes, bytes: dryRun ? undefined : readFileSync(join(output, 'iterator.onnx')) };
}

async function refusal(promise: Promise<unknown>): Promise<HalfbyteError> {
  try {
    await promise;
  } catch (error) {
    return error as HalfbyteError;
  }
  throw new Error('nothing was refused');
}

test.before(async () => {
  await calibrate(fixture('qwen3'), { output: file, tokens: 100 });
});

test('a conversion without a calibration makes one and says so; with one it does not', async () => {
  const own = await run('qwen3', { target: 'qnn' });
  assert.is(own.notes.length, 1);
  assert.match(own.notes[0], /^calibrated on 512 tokens of pseudo-random ids/);
  const given = await run('qwen3', { target: 'qnn' }, file);
  assert.equal(given.notes, []);
  assert.not(own.bytes?.equals(given.bytes as Buffer), 'other ranges give other scales');
  assert.ok((await run('qwen3', { target: 'qnn' }, file)).bytes?.equals(given.bytes as Buffer));
});

test('the package says what its ranges come from', async () => {
  const { result } = await run('qwen3', { target: 'qnn' }, file);
  const manifest = JSON.parse(readFileSync(join(result.package as string, 'halfbyte.json'), 'utf8'));
  assert.equal(manifest.calibration, readCalibration(file).origin);
});

test('a dry run and float activations need no calibration', async () => {
  assert.equal((await run('qwen3', { target: 'qnn' }, undefined, true)).notes, []);
  const { notes } = await run('qwen3', { target: 'qnn', activations: 'f32' });
  assert.is(notes.length, 1);
  assert.match(notes[0], /^lint for qnn warns: float-activations 2/);
  const error = await refusal(run('qwen3', { target: 'qnn', activations: 'f32' }, file));
  assert.instance(error, UsageError);
  assert.match(error.message, /float activations, which need no ranges/);
  assert.instance(await refusal(run('qwen3', {}, file)), UsageError);
});

test('a calibration of another model is refused by what does not fit', async () => {
  const foreign = await refusal(run('qwen2-untied', { target: 'qnn' }, file));
  assert.instance(foreign, InvalidInputError);
  assert.match(
    foreign.message,
    /qwen3\.safetensors: this calibration belongs to another model .*it has no range for "/,
  );

  const changed = (change: (calibration: Calibration) => void): string => {
    const calibration = readCalibration(file);
    change(calibration);
    const path = join(work, 'changed.safetensors');
    writeCalibration(path, calibration, PERCENTILES);
    return path;
  };
  const cases: [(calibration: Calibration) => void, RegExp][] = [
    [
      ({ ranges }) => delete ranges['/model/layers.1/attn/GroupQueryAttention/scores'],
      /no range for .*layers\.1.*scores/,
    ],
    [({ ranges }) => Object.assign(ranges, { other: ranges[Object.keys(ranges)[0]] }), /a range for "other", which/],
    [
      ({ second_moments }) =>
        Object.assign(second_moments, { 'model.layers.0.mlp.up_proj.weight': Float32Array.of(1) }),
      /second moments of "model\.layers\.0\.mlp\.up_proj\.weight" have another size/,
    ],
  ];
  for (const [change, message] of cases) {
    const error = await refusal(run('qwen3', { target: 'qnn' }, changed(change)));
    assert.instance(error, InvalidInputError);
    assert.match(error.message, message);
  }
});

test('what a device refuses ends the conversion before the model runs', async () => {
  const error = await refusal(run('qwen3', { target: 'qnn', asymmetric: true }));
  assert.is(error.exitCode, 1);
  assert.match(error.message, /the target qnn would refuse this package: .*UINT4/);
});

test.after(() => rmSync(work, { recursive: true }));
test.run();
