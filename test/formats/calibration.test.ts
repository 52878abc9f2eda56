import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Calibration } from '../../src/core/calibration.js';
import { InvalidInputError } from '../../src/core/errors.js';
import { readCalibration, writeCalibration } from '../../src/formats/calibration.js';
import { writeSafetensors } from '../../src/formats/safetensors-writer.js';

const work = mkdtempSync(join(tmpdir(), 'halfbyte-calibration-'));
const file = join(work, 'calibration.safetensors');

const made: Calibration = {
  origin: { text: 'given text', tokens: 3, ids_sha256: 'ab' },
  ranges: {
    '/model/layers.0/attn/scores': { min: -2, max: 3.5, percentiles: [-1, 3] },
    'a.b/product': { min: 0, max: 0, percentiles: [0, 0] },
  },
  second_moments: { 'a.b.weight': Float32Array.of(0.25, 1e-20, 4) },
};

test('a calibration reads back as it was written', () => {
  writeCalibration(file, made, [1, 99]);
  const read = readCalibration(file);
  assert.equal({ ...read, ranges: { ...read.ranges }, second_moments: { ...read.second_moments } }, made);
});

const f32 = (name: string, ...values: number[]) => ({
  name,
  dtype: 'F32' as const,
  shape: [values.length],
  data: new Uint8Array(Float32Array.from(values).buffer),
});
const stated = (content: unknown) => ({ calibration: JSON.stringify(content) });
const good = { format_version: 1, percentiles: [1, 99], origin: made.origin };
const refused: [what: string, tensors: ReturnType<typeof f32>[], metadata: Record<string, string>, message: RegExp][] =
  [
    ['a file of weights', [f32('model.norm.weight', 1)], {}, /is no calibration/],
    ['metadata that are no JSON', [], { calibration: '{' }, /is no calibration/],
    ['another version', [], stated({ ...good, format_version: 2 }), /is no calibration/],
    ['no origin', [], stated({ ...good, origin: {} }), /is no calibration/],
    ['too few percentiles', [f32('range.x', -1, 1, 0)], stated(good), /"range\.x" is no range with 2 percentiles/],
    ['a range upside down', [f32('range.x', 1, -1, 0, 0)], stated(good), /"range\.x" is no range/],
    ['a value that is not finite', [f32('range.x', -1, Number.NaN, 0, 0)], stated(good), /"range\.x" holds a value/],
    ['an infinite moment', [f32('second_moment.x', Number.POSITIVE_INFINITY)], stated(good), /holds a value/],
  ];
for (const [what, tensors, metadata, message] of refused) {
  test(`refused by name: ${what}`, () => {
    writeSafetensors(file, tensors, metadata);
    try {
      readCalibration(file);
      assert.unreachable('it was read');
    } catch (error) {
      assert.instance(error, InvalidInputError);
      assert.ok((error as Error).message.startsWith(`${file}: `));
      assert.match((error as Error).message, message);
    }
  });
}

test('another dtype, a cut file and garbage are refused', () => {
  writeSafetensors(file, [{ name: 'range.x', dtype: 'I32', shape: [4], data: new Uint8Array(16) }], stated(good));
  assert.throws(() => readCalibration(file), /"range\.x" is I32; needed is F32/);
  for (const content of ['', 'garbage', Buffer.alloc(100, 255)]) {
    writeFileSync(file, content);
    assert.throws(
      () => readCalibration(file),
      (error: Error) => error instanceof InvalidInputError,
    );
  }
  assert.throws(() => readCalibration(join(work, 'absent')), /absent/);
});

test.after(() => rmSync(work, { recursive: true }));
test.run();
