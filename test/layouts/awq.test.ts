import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import layout from '../../src/layouts/awq.js';
import { holdIntegers, MemoryTensors, vectorsOf } from './vectors.js';

// Referee: fixtures/layouts/vectors.py, by AutoAWQ's rules, see fixtures/layouts/README.md.

const config = (settings: JsonObject = {}): JsonObject => ({
  quantization_config: { quant_method: 'awq', bits: 4, version: 'gemm', ...settings },
});
const vectors = vectorsOf('awq');

for (const vector of vectors) {
  test(vector.name, async () => {
    await holdIntegers(layout, config(), vector, { quanta: [1], counts: [8, vector.rows] });
  });
}

test('other orders and other widths are refused', () => {
  const undress = (settings: JsonObject) => new MemoryTensors(vectors[0].tensors).packed(layout, config(settings));
  for (const [settings, told] of [
    [{ version: 'gemv' }, /version is "gemv".*needs "gemm"/],
    [{ bits: 8 }, /bits is 8.*needs 4/],
  ] as [JsonObject, RegExp][]) {
    assert.throws(
      () => undress(settings),
      (error: Error) => error instanceof InvalidInputError && told.test(error.message),
    );
  }
});

test('a part that is missing or of another shape is an error that names it', () => {
  for (const [change, told] of [
    [(memory: MemoryTensors) => memory.refs.delete('m.qzeros'), /needs "m\.qzeros", which is missing/],
    [(memory: MemoryTensors) => memory.replace('m.scales', { shape: [2, 12] }), /"m\.scales" is \[2, 12\]/],
    [(memory: MemoryTensors) => memory.replace('m.qzeros', { shape: [3, 2] }), /"m\.qzeros" is \[3, 2\]/],
  ] as [(memory: MemoryTensors) => void, RegExp][]) {
    const memory = new MemoryTensors(vectors[0].tensors);
    change(memory);
    assert.throws(
      () => memory.packed(layout, config()),
      (error: Error) => error instanceof InvalidInputError && told.test(error.message),
    );
  }
});

test('one size of groups for all matrices', () => {
  const matrix = { name: 'm.weight', rows: 24, cols: 64, kind: 'linear' as const };
  const about = { config: {}, args: vectors[0].args, quantized: [matrix], alone: [] };
  const exceptions = [{ matrix, args: { ...vectors[0].args, group_size: 64 } }];
  assert.throws(
    () => layout.dressing.config({ ...about, exceptions }),
    (error: Error) =>
      error instanceof UsageError && /"m\.weight" has groups of 64 columns, others of 16/.test(error.message),
  );
});

test.run();
