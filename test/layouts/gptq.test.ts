import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import type { Layout } from '../../src/core/layout.js';
import gptq from '../../src/layouts/gptq.js';
import gptqV2 from '../../src/layouts/gptq_v2.js';
import { equalFloats, holdIntegers, MemoryTensors, type Vector, vectorsOf } from './vectors.js';

// Referee: fixtures/layouts/vectors.py, by GPTQModel's rules, see fixtures/layouts/README.md.

type GptqVector = Vector & { version: 1 | 2; permuted: boolean };

const LAYOUTS: Record<number, Layout> = { 1: gptq, 2: gptqV2 };
const FORMATS: Record<number, string> = { 1: 'gptq', 2: 'gptq_v2' };
const config = ({ args, cols }: Vector, format: string): JsonObject => ({
  quantization_config: {
    quant_method: 'gptq',
    checkpoint_format: format,
    group_size: args.group_size ?? cols,
    bits: args.scheme === 'int8' ? 8 : 4,
  },
});
const vectors = vectorsOf<GptqVector>('gptq');
const inOrder = vectors.filter(({ permuted }) => !permuted);

for (const vector of inOrder) {
  test(vector.name, async () => {
    const isWritten = vector.version === 2 || vector.args.symmetric;
    const runs = { quanta: [1], counts: isWritten ? [8, vector.rows] : [] };
    const memory = await holdIntegers(LAYOUTS[vector.version], config(vector, FORMATS[vector.version]), vector, runs);
    assert.equal(memory.notes, []);
  });

  test(`${vector.name}, labelled as the other version: noticed by its values`, async () => {
    const other = 3 - vector.version;
    const runs = { quanta: [1], counts: [] };
    const memory = await holdIntegers(LAYOUTS[other], config(vector, FORMATS[other]), vector, runs);
    assert.is(memory.notes.length, 1);
    assert.match(memory.notes[0], new RegExp(`says "${FORMATS[other]}".*"m\\.weight"`));
  });
}

for (const vector of vectors.filter(({ permuted }) => permuted)) {
  test(`${vector.name}: values are right and no scheme has the grid`, () => {
    const memory = new MemoryTensors(vector.tensors);
    const source = memory.packed(gptq, config(vector, 'gptq'));
    equalFloats(memory.decode(gptq, source, 1), vector.values);
    assert.is(gptq.grid?.(source), undefined);
  });
}

test('zero points are not written less one, where 0 has no place', () => {
  const args = { ...vectors[0].args, symmetric: false };
  assert.throws(
    () => gptq.dressing.check(args, '--weights'),
    (error: Error) => error instanceof UsageError && /no place for 0/.test(error.message),
  );
  gptqV2.dressing.check(args, '--weights');
});

test.run();
