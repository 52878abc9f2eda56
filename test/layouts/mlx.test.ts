import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/types.js';
import layout from '../../src/layouts/mlx.js';
import plain from '../../src/layouts/plain.js';
import {
  equalFloats,
  type FloatVector,
  holdFloats,
  holdIntegers,
  MemoryTensors,
  type VectorTensor,
  vectorsOf,
} from './vectors.js';

// Referee: fixtures/layouts/vectors.py, by the rules of mlx's own code, see fixtures/layouts/README.md.

const config = (settings: JsonObject): JsonObject => ({ quantization: { group_size: 64, bits: 4, ...settings } });

for (const vector of vectorsOf('mlx_affine')) {
  test(`affine, ${vector.name}`, async () => {
    const bits = vector.args.scheme === 'int8' ? 8 : 4;
    await holdIntegers(layout, config({ bits }), vector, { quanta: [1, 5, 100], counts: [5, vector.rows] });
  });
}

type FreeVector = { name: string; bits: number; values: number[]; tensors: Record<string, VectorTensor> };
for (const vector of vectorsOf<FreeVector>('mlx_free')) {
  test(`affine with free biases, ${vector.name}: values are right and no scheme has the grid`, () => {
    const memory = new MemoryTensors(vector.tensors);
    const source = memory.packed(layout, config({ m: { bits: vector.bits, group_size: 64 } }));
    for (const quanta of [1, 5, 100]) equalFloats(memory.decode(layout, source, quanta), vector.values);
    assert.is(layout.grid(source), undefined);
  });
}

for (const vector of vectorsOf<FloatVector & { mode?: string }>('fp4').filter(({ mode }) => mode)) {
  test(vector.name, async () => {
    const counts = vector.mode === 'mxfp4' ? [5, vector.rows] : [];
    await holdFloats(layout, config({ mode: vector.mode as string }), vector, { quanta: [1, 5, 100], counts });
  });
}

test('mxfp8: a power of two for 32 columns', () => {
  const codes = Uint8Array.from({ length: 64 }, (_, i) => i);
  const memory = new MemoryTensors({});
  memory.add('m.weight', 'U32', [1, 16], codes);
  memory.add('m.scales', 'U8', [1, 2], Uint8Array.of(127, 130));
  const source = memory.packed(layout, config({ mode: 'mxfp8', bits: 8 }));
  // 0x08 is 2^-6, 0x20 is 2^-3 and 0x38 is 1
  const values = memory.decode(layout, source, 1);
  assert.equal([values[0x08], values[0x20], values[0x38]], [2 ** -6, 8 * 2 ** -3, 8]);
});

test('rounded biases are no zero points: the bias that is nearest to one is not taken for it', () => {
  const scale = 1.0078125;
  const memory = new MemoryTensors({});
  memory.add('m.weight', 'U32', [1, 4], new Uint8Array(16));
  memory.add('m.scales', 'F32', [1, 1], new Uint8Array(Float32Array.of(scale).buffer));
  memory.add('m.biases', 'F32', [1, 1], new Uint8Array(Float32Array.of(-7 * scale + 2 ** -7).buffer));
  assert.is(layout.grid(memory.packed(layout, config({}))), undefined);
});

test('biases are written rounded to the type of the scales, and only exact ones count as kept', () => {
  const { args } = vectorsOf('mlx_affine')[3];
  assert.ok(layout.dressing.keeps?.(args));
  assert.not(layout.dressing.keeps?.({ ...args, scale_dtype: 'BF16' }));
  assert.ok(layout.dressing.keeps?.({ ...args, scale_dtype: 'BF16', symmetric: true }));
  const packed = {
    codes: new Uint8Array(16),
    scales: Uint8Array.of(0x81, 0x3f), // 1.0078125
    zero_points: Uint8Array.of(0x87), // 7
  };
  const bf16 = { ...args, scale_dtype: 'BF16' as const };
  const out = { weight: new Uint8Array(16), scales: new Uint8Array(2), biases: new Uint8Array(2) };
  layout.dressing.pack(packed, 1, 32, bf16, out);
  // -7.0546875 lies between bfloat16's -7.0625 and -7.03125
  assert.equal([...out.biases], [0xe2, 0xc0]);
});

test('a mode that is not known is refused; a checkpoint of mlx is not a plain one', () => {
  const { tensors } = vectorsOf('mlx_affine')[0];
  assert.throws(
    () => new MemoryTensors(tensors).packed(layout, config({ mode: 'mxfp6' })),
    (error: Error) => error instanceof InvalidInputError && /mode is "mxfp6"/.test(error.message),
  );
  assert.ok(layout.matches(config({})));
  assert.ok(layout.matches({ quantization_config: { group_size: 64, bits: 4 } }));
  assert.not(layout.matches({ quantization_config: { quant_method: 'awq', group_size: 64, bits: 4 } }));
  assert.not(plain.matches(config({})));
});

test.run();
