import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
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
    const settings = config({ bits, group_size: vector.args.group_size as number });
    await holdIntegers(layout, settings, vector, { quanta: [1, 5, 100], counts: [5, vector.rows] });
  });
}

type FreeVector = { name: string; bits: number; values: number[]; tensors: Record<string, VectorTensor> };
for (const vector of vectorsOf<FreeVector>('mlx_free')) {
  test(`affine with free biases, ${vector.name}: values are right and no scheme has the grid`, () => {
    const memory = new MemoryTensors(vector.tensors);
    const [words, groups] = ['m.weight', 'm.scales'].map((name) => vector.tensors[name].shape[1]);
    const size = (32 * words) / vector.bits / groups;
    const source = memory.packed(layout, config({ m: { bits: vector.bits, group_size: size } }));
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
  assert.is(layout.grid(memory.packed(layout, config({ group_size: 32 }))), undefined);
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

test('experts that mlx-lm stacks are read one by one, by the names of Hugging Face', () => {
  const [first] = vectorsOf('mlx_affine').filter(({ args }) => args.symmetric && args.scale_dtype === 'BF16');
  for (const [block, name] of [
    ['model.layers.0.mlp', 'up_proj'],
    ['model.layers.0.block_sparse_moe', 'w3'],
  ]) {
    const memory = new MemoryTensors({});
    for (const part of ['weight', 'scales', 'biases']) {
      const { dtype, shape, hex } = first.tensors[`m.${part}`];
      const bytes = Buffer.from(hex, 'hex');
      // the second expert has its rows in reverse
      const rowBytes = bytes.length / shape[0];
      const reversed = Array.from({ length: shape[0] }, (_, r) =>
        bytes.subarray((shape[0] - 1 - r) * rowBytes).subarray(0, rowBytes),
      );
      const both = Uint8Array.from(Buffer.concat([bytes, ...reversed]));
      memory.add(`${block}.switch_mlp.up_proj.${part}`, dtype, [2, ...shape], both);
    }
    memory.add(`${block}.switch_mlp.down_proj.weight`, 'F32', [2, 1, 3], new Uint8Array(24));
    const settings = config({ group_size: first.args.group_size as number });
    const logical = memory.undress(layout, settings);
    const own = (expert: number) => memory.packed(layout, settings, `${block}.experts.${expert}.${name}.weight`);
    equalFloats(memory.decode(layout, own(0), 3), first.values);
    const rows = Array.from({ length: first.rows }, (_, r) => first.values.slice(r * first.cols, (r + 1) * first.cols));
    equalFloats(memory.decode(layout, own(1), 3), rows.reverse().flat());
    assert.is(own(1).parts.codes.name, `${block}.switch_mlp.up_proj.weight`);
    assert.is(logical.size, 4);
  }
});

test('latent attention that mlx-lm splits by heads becomes kv_b_proj again', async () => {
  const [heads, nope, v, latent] = [2, 32, 3, 64];
  const block = 'model.layers.0.self_attn';
  const random = Array.from({ length: heads * (nope + v) * latent }, (_, i) => Math.fround(Math.sin(i)));
  const kvB = (head: number, row: number, column: number) => random[(head * (nope + v) + row) * latent + column];
  const range = (count: number) => [...Array(count).keys()];
  // mlx_lm/models/deepseek_v3.py: w[:, :nope].swapaxes(-1, -2) and w[:, nope:]
  const embedQ = range(heads).flatMap((h) => range(latent).flatMap((c) => range(nope).map((r) => kvB(h, r, c))));
  const unembedOut = range(heads).flatMap((h) =>
    range(v).flatMap((r) => range(latent).map((c) => kvB(h, nope + r, c))),
  );
  const floats = (values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
  const read = async (memory: MemoryTensors) => {
    const tensor = memory.undress(layout, config({ group_size: 32 })).get(`${block}.kv_b_proj.weight`);
    assert.equal(tensor?.shape, [heads * (nope + v), latent]);
    if (tensor?.source.kind !== 'concat') throw new Error('kv_b_proj is not joined');
    return tensor.source.sources;
  };

  const plainly = new MemoryTensors({});
  plainly.add(`${block}.embed_q.weight`, 'F32', [heads, latent, nope], floats(embedQ));
  plainly.add(`${block}.unembed_out.weight`, 'F32', [heads, v, latent], floats(unembedOut));
  const values = (await read(plainly)).flatMap((source, index) => {
    const own = source.kind === 'transpose' ? source.source : source;
    if (own.kind !== 'tensor') throw new Error('no tensor');
    const stored = new Float32Array(plainly.read(own.ref).buffer);
    if (index % 2 === 1) return [...stored];
    return range(nope).flatMap((r) => range(latent).map((c) => stored[c * nope + r]));
  });
  assert.equal(values, random);

  // quantized by groups of 32 along each of the two: every code is its column modulo 16, scales count up, biases are 0
  const packed = new MemoryTensors({});
  const add = (name: string, rows: number, cols: number) => {
    const groups = (heads * rows * cols) / 32;
    const codes = Uint8Array.from(
      { length: (heads * rows * cols) / 2 },
      (_, i) => ((2 * i + 1) % 16) * 16 + ((2 * i) % 16),
    );
    packed.add(`${block}.${name}.weight`, 'U32', [heads, rows, cols / 8], codes);
    packed.add(`${block}.${name}.scales`, 'F32', [heads, rows, cols / 32], floats(range(groups).map((i) => i + 1)));
    packed.add(`${block}.${name}.biases`, 'F32', [heads, rows, cols / 32], floats(range(groups).map(() => 0)));
  };
  add('embed_q', latent, nope);
  add('unembed_out', v, latent);
  const sources = await read(packed);
  const second = sources[2];
  if (second.kind !== 'transpose' || second.source.kind !== 'packed') throw new Error('keys are not transposed');
  const keys = packed.decode(layout, second.source, 1);
  // head 1, latent column 5, key row 7
  assert.is(keys[5 * nope + 7], 7 * (latent + 5 + 1));
  const last = sources[3];
  if (last.kind !== 'packed') throw new Error('values are not packed');
  // head 1, value row 2, latent column 40
  assert.is(packed.decode(layout, last, 1)[2 * latent + 40], (40 % 16) * (v * 2 + 2 * 2 + 1 + 1));

  const halved = new MemoryTensors({});
  halved.add(`${block}.embed_q.weight`, 'F32', [heads, latent, nope], floats(embedQ));
  assert.throws(
    () => halved.undress(layout, config({})),
    (error: Error) => error instanceof InvalidInputError && /kv_b_proj.*unembed_out, 0 heads/.test(error.message),
  );
});

test('bits follow from the shapes where config.json does not list a module; other keys of its settings are refused', () => {
  const vector = vectorsOf('mlx_affine').filter(({ args }) => args.scheme === 'int8')[0];
  const size = vector.args.group_size as number;
  const memory = new MemoryTensors(vector.tensors);
  const source = memory.packed(layout, config({ bits: 4, group_size: size }));
  equalFloats(memory.decode(layout, source, 3), vector.values);
  assert.match(memory.notes.join(), /says 4 bits.*m\.weight \(8\)/);
  for (const unheard of [{ m: { bits: 4, rotation: 'hadamard' } }, { rotation: 'hadamard' }] as JsonObject[]) {
    assert.throws(
      () => new MemoryTensors(vector.tensors).packed(layout, config({ ...unheard, group_size: size })),
      (error: Error) => error instanceof InvalidInputError && /rotation is "hadamard"/.test(error.message),
    );
  }
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
