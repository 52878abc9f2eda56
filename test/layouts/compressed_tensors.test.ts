import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/types.js';
import layout from '../../src/layouts/compressed_tensors.js';
import { dressIntegers, equalFloats, integerParts, MemoryTensors, vectorsOf } from './vectors.js';

// Referee: fixtures/layouts/vectors.py, by the rules of compressed-tensors' own packers, see fixtures/layouts/README.md.

const config = (weights: JsonObject = {}): JsonObject => ({
  quantization_config: {
    quant_method: 'compressed-tensors',
    config_groups: { group_0: { targets: ['Linear'], weights } },
  },
});

for (const vector of vectorsOf('pack_quantized')) {
  test(`pack-quantized, ${vector.name}: values, codes and scales are read as they were packed`, async () => {
    const memory = new MemoryTensors(vector.tensors);
    const source = memory.packed(layout, config());
    assert.equal([source.rows, source.cols], [vector.rows, vector.cols]);
    for (const quanta of [1, 3, 100]) equalFloats(memory.decode(layout, source, quanta), vector.values);
    assert.equal(layout.grid(source), vector.args);
    assert.equal(await memory.unpack(layout, source, vector.args), await integerParts(vector));
  });

  test(`pack-quantized, ${vector.name}: written in runs of rows`, async () => {
    const { dressing } = layout;
    dressing.check(vector.args, '--weights');
    assert.ok(dressing.quantizes({ name: 'm.weight', rows: vector.rows, cols: vector.cols }, vector.args));
    for (const count of [8, vector.rows]) {
      const made = await dressIntegers(dressing, vector, count);
      assert.equal(made, vector.tensors);
    }
  });
}

test.run();
