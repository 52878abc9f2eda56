import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TensorRef } from '../../src/core/checkpoint.js';
import { bf16ToFloat32, float32ToBf16 } from '../../src/core/dtype.js';
import { InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { merge } from '../../src/stages/merge.js';
import { fixture } from '../reference/fixtures.js';
import { rejects } from '../rejects.js';
import { dressingRoom, valuesOf } from './checkpoints.js';

const FP8 = fixture('deepseek-v3-fp8');
const room = dressingRoom();
const bytesOf = ({ file, offset, nbytes }: TensorRef) => readFileSync(file).subarray(offset, offset + nbytes);
const floatsOf = (ref: TensorRef) => new Float32Array(Uint8Array.from(bytesOf(ref)).buffer);
const json = (dir: string, name: string) => JSON.parse(readFileSync(join(dir, name), 'utf8'));

test('the way back: an FP8 checkpoint as bfloat16, every value rounded once', async () => {
  const { dir, totals, tensors } = await room.quantize(FP8, { layout: 'plain' });
  const [before, after] = [await valuesOf(FP8), await valuesOf(dir)];
  assert.equal([...after.keys()].sort(), [...before.keys()].sort());
  const stored = openCheckpoint(dir).tensors;
  for (const [name, values] of before) {
    const isFloat32 = stored.get(name)?.dtype === 'F32';
    assert.is(isFloat32, name.endsWith('e_score_correction_bias'), name);
    const expected = isFloat32 ? values : values.map((x) => bf16ToFloat32(float32ToBf16(x)));
    assert.equal(after.get(name), expected, name);
  }
  const config = json(dir, 'config.json');
  assert.is(config.quantization_config, undefined);
  assert.is(config.torch_dtype, 'bfloat16');
  assert.is(config.num_hidden_layers, json(FP8, 'config.json').num_hidden_layers);
  assert.ok(existsSync(join(dir, 'generation_config.json')));
  assert.is(
    totals.parameters,
    tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
  );
});

test('float32 holds what the codes stand for exactly', async () => {
  const { dir } = await room.quantize(FP8, { layout: 'plain', weights: 'f32', skip: ['model.norm.weight'] });
  const [before, after] = [await valuesOf(FP8), await valuesOf(dir)];
  for (const [name, values] of before) assert.equal(after.get(name), values, name);
});

test('shards: no file above the limit but for one tensor, an index that names all', async () => {
  const limit = 100_000;
  const whole = await room.quantize(FP8, { layout: 'plain' });
  const { dir } = await room.quantize(FP8, { layout: 'plain', maxShardSize: '100kB' });
  const index = json(dir, 'model.safetensors.index.json');
  const checkpoint = openCheckpoint(dir);
  const bytes = new Map<string, number[]>();
  for (const [name, { nbytes }] of checkpoint.tensors) {
    bytes.set(index.weight_map[name], [...(bytes.get(index.weight_map[name]) ?? []), nbytes]);
  }
  assert.ok(bytes.size > 3);
  for (const [file, sizes] of bytes) {
    assert.match(file, new RegExp(`^model-\\d{5}-of-${String(bytes.size).padStart(5, '0')}\\.safetensors$`));
    assert.ok(sizes.length === 1 || sizes.reduce((a, b) => a + b) <= limit, file);
  }
  assert.is(
    index.metadata.total_size,
    [...checkpoint.tensors.values()].reduce((sum, { nbytes }) => sum + nbytes, 0),
  );
  assert.equal(await valuesOf(dir), await valuesOf(whole.dir));
});

test('the same bytes whatever the workers and shards of the work', async () => {
  const alone = await room.quantize(FP8, { layout: 'plain', maxShardSize: '300kB' });
  const threads = await room.quantize(FP8, { layout: 'plain', maxShardSize: '300kB' }, { workers: 2 });
  const output = join(room.work, 'merged');
  for (const shard of ['1/3', '2/3', '3/3']) {
    const part = await room.quantize(FP8, { layout: 'plain', maxShardSize: '300kB' }, { shard, output });
    assert.is(part.checkpoint, null);
  }
  await merge(output, { workers: 0 }, () => {}, new AbortController().signal);
  const names = readdirSync(alone.dir).sort();
  for (const other of [threads.dir, output]) {
    assert.equal(readdirSync(other).sort(), names);
    for (const name of names) assert.equal(readFileSync(join(other, name)), readFileSync(join(alone.dir, name)), name);
  }
});

test('deepseek_fp8: codes are a fixed point of the way to bfloat16 and back', async () => {
  const first = await room.quantize(fixture('deepseek-v3'), { layout: 'deepseek_fp8' });
  const plain = await room.quantize(first.dir, { layout: 'plain' });
  const second = await room.quantize(plain.dir, { layout: 'deepseek_fp8' });
  const [once, twice] = [openCheckpoint(first.dir), openCheckpoint(second.dir)];
  let codes = 0;
  for (const [name, ref] of once.tensors) {
    if (ref.dtype !== 'F8_E4M3') continue;
    codes++;
    assert.equal(bytesOf(ref), bytesOf(twice.tensors.get(name) as TensorRef), name);
  }
  assert.ok(codes > 100);
});

test('deepseek_fp8: tensors, types and config are those of the FP8 checkpoint', async () => {
  const { dir, tensors } = await room.quantize(fixture('deepseek-v3'), { layout: 'deepseek_fp8' });
  const [expected, found] = [openCheckpoint(FP8), openCheckpoint(dir)];
  const shape = ({ tensors }: typeof found) =>
    [...tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape]).sort();
  const wide = (dtype: unknown) => (dtype === 'F32' || dtype === 'BF16' ? 'float' : dtype);
  const comparable = (each: typeof found) =>
    shape(each).map(([name, dtype, size]) => [name, String(name).endsWith('_scale_inv') ? dtype : wide(dtype), size]);
  assert.equal(comparable(found), comparable(expected));
  assert.equal(found.config.quantization_config, expected.config.quantization_config);
  for (const { name, fate } of tensors) assert.is(fate === 'rounds', found.tensors.has(`${name}_scale_inv`), name);
});

test('deepseek_fp8 to deepseek_fp8 keeps every byte', async () => {
  const { dir, tensors } = await room.quantize(FP8, { layout: 'deepseek_fp8' });
  assert.ok(tensors.some(({ fate }) => fate === 'keeps'));
  assert.not.ok(tensors.some(({ fate }) => fate === 'rounds'));
  const after = openCheckpoint(dir).tensors;
  for (const [name, ref] of openCheckpoint(FP8).tensors) {
    assert.equal(bytesOf(after.get(name) as TensorRef), bytesOf(ref), name);
  }
});

test('deepseek_fp8: scales that are powers of two, rounded up', async () => {
  const { dir } = await room.quantize(fixture('deepseek-v3'), { layout: 'deepseek_fp8', scales: 'e8m0' });
  assert.is((openCheckpoint(dir).config.quantization_config as JsonObject).scale_fmt, 'ue8m0');
  const plain = openCheckpoint((await room.quantize(fixture('deepseek-v3'), { layout: 'deepseek_fp8' })).dir).tensors;
  for (const [name, ref] of openCheckpoint(dir).tensors) {
    if (!name.endsWith('_scale_inv')) continue;
    const exact = floatsOf(plain.get(name) as TensorRef);
    for (const [index, scale] of floatsOf(ref).entries()) {
      assert.ok(Number.isInteger(Math.log2(scale)) && scale >= exact[index] && scale < 2 * exact[index], name);
    }
  }
});

test('deepseek_fp8: powers of two stay what config.json calls them, byte for byte', async () => {
  const first = await room.quantize(fixture('deepseek-v3'), { layout: 'deepseek_fp8', scales: 'e8m0' });
  const second = await room.quantize(first.dir, { layout: 'deepseek_fp8' });
  assert.not.ok(second.tensors.some(({ fate }) => fate === 'rounds'));
  const [once, twice] = [openCheckpoint(first.dir), openCheckpoint(second.dir)];
  assert.equal(twice.config, once.config);
  for (const [name, ref] of once.tensors)
    assert.equal(bytesOf(twice.tensors.get(name) as TensorRef), bytesOf(ref), name);
});

test('a dry run writes nothing', async () => {
  const output = join(room.work, 'never');
  const result = await room.quantize(FP8, { layout: 'plain' }, { output, dryRun: true });
  assert.is(result.checkpoint, null);
  assert.ok(result.tensors.length > 100);
  assert.not.ok(existsSync(output));
});

test('what cannot be asked for is refused with what can', async () => {
  await rejects(room.quantize(FP8, { layout: 'plian' }), UsageError, /plian/, /plain/);
  await rejects(
    room.quantize(FP8, { layout: 'plain', weights: 'int4' }),
    UsageError,
    /int4.*plain stores bf16, f16, f32/,
  );
  await rejects(room.quantize(FP8, { layout: 'plain', only: ['nothing'] }), UsageError, /--only/);
  await rejects(room.quantize(FP8, { layout: 'plain', maxShardSize: 'big' }), UsageError, /--max-shard-size big/);
  await rejects(room.quantize(FP8, { layout: 'plain', preset: 'mixed' }), UsageError, /--preset mixed/);
  const output = join(room.work, 'taken');
  mkdirSync(join(output, 'something'), { recursive: true });
  await rejects(room.quantize(FP8, { layout: 'plain' }, { output }), UsageError, /exists/, /--force/);
  await rejects(room.quantize(FP8, { layout: 'plain' }, { output: FP8, force: true }), UsageError);
  await rejects(room.quantize(join(room.work, 'nowhere'), { layout: 'plain' }), InvalidInputError, /nowhere/);
});

test.after(room.remove);
test.run();
