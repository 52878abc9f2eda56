import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import layout from '../../src/layouts/bnb_nf4.js';
import { type FloatVector, holdFloats, MemoryTensors, vectorsOf } from './vectors.js';

// Referee: fixtures/layouts/vectors.py, by bitsandbytes' rules, see fixtures/layouts/README.md.

const config: JsonObject = { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } };
const STATE = 'm.weight.quant_state.bitsandbytes__nf4';
const vectors = vectorsOf<FloatVector & { nested: boolean }>('bnb');

for (const vector of vectors) {
  test(vector.name, async () => {
    const counts = vector.nested ? [] : [64, 128];
    await holdFloats(layout, config, vector, { quanta: [1, 2, 100], counts });
  });
}

test('other sixteen values are read by their map, and are on no grid of a scheme', () => {
  const { tensors } = vectors[0];
  const memory = new MemoryTensors(tensors);
  memory.add('m.weight.quant_map', 'F32', [16], new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => i).buffer));
  const source = memory.packed(layout, config);
  assert.is(layout.grid?.(source), undefined);
  const scale = Buffer.from(tensors['m.weight.absmax'].hex, 'hex').readFloatLE(0);
  const [first] = Buffer.from(tensors['m.weight'].hex, 'hex');
  const values = memory.decode(layout, source, 1);
  assert.equal([values[0], values[1]], [(first >> 4) * scale, (first & 15) * scale]);
});

test('a state that is no JSON or says something else is an error that names its tensor', () => {
  for (const text of ['not json', '{}', '{"quant_type": "nf4", "blocksize": 0, "shape": [6, 64]}']) {
    const memory = new MemoryTensors(vectors[0].tensors);
    memory.add(STATE, 'U8', [text.length], new TextEncoder().encode(text));
    assert.throws(
      () => memory.packed(layout, config),
      (error: Error) => error instanceof InvalidInputError && error.message.includes(STATE),
    );
  }
});

test.run();
