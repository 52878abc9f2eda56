import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JsonObject } from '../../src/core/json.js';
import layout from '../../src/layouts/compressed_tensors.js';
import { type FloatVector, holdFloats, holdIntegers, vectorsOf } from './vectors.js';

// Referee: fixtures/layouts/vectors.py, by the rules of compressed-tensors' own packers, see fixtures/layouts/README.md.

const config = (weights: JsonObject = {}): JsonObject => ({
  quantization_config: {
    quant_method: 'compressed-tensors',
    config_groups: { group_0: { targets: ['Linear'], weights } },
  },
});

for (const vector of vectorsOf('pack_quantized')) {
  test(`pack-quantized, ${vector.name}`, async () => {
    await holdIntegers(layout, config(), vector, { quanta: [1, 3, 100], counts: [8, vector.rows] });
  });
}

for (const vector of vectorsOf<FloatVector>('fp4').filter(({ name }) => !name.startsWith('mlx'))) {
  test(`${vector.name}-pack-quantized`, async () => {
    await holdFloats(layout, config(), vector, { quanta: [1, 5, 100], counts: [5, vector.rows] });
  });
}

for (const vector of vectorsOf<FloatVector>('fp8').filter(({ name }) => !name.startsWith('deepseek'))) {
  test(`float-quantized, ${vector.name}`, async () => {
    const block = vector.args.block_structure;
    const counts = block ? [block[0], vector.rows] : [3, vector.rows];
    await holdFloats(layout, config(block ? { block_structure: block } : {}), vector, { quanta: [1, 3, 200], counts });
  });
}

test('nvfp4: projections that engines run as one share the scale of the tensor', () => {
  const args = { ...vectorsOf<FloatVector>('fp4')[0].args };
  const key = (name: string) => layout.dressing.sharedScale?.({ name }, args);
  const layer = 'model.layers.0';
  assert.is(key(`${layer}.self_attn.q_proj.weight`), key(`${layer}.self_attn.v_proj.weight`));
  assert.is(key(`${layer}.mlp.gate_proj.weight`), key(`${layer}.mlp.up_proj.weight`));
  assert.is(key(`${layer}.mlp.experts.7.w1.weight`), key(`${layer}.mlp.experts.7.w3.weight`));
  assert.is.not(key(`${layer}.self_attn.q_proj.weight`), key('model.layers.1.self_attn.q_proj.weight'));
  assert.is(key(`${layer}.mlp.down_proj.weight`), undefined);
});

test.run();
