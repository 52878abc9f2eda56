import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TensorRef } from '../../src/core/checkpoint.js';
import { bf16ToFloat32, float32ToBf16 } from '../../src/core/dtype.js';
import type { JsonObject } from '../../src/core/json.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';
import { writeRandomCheckpoint } from '../random-checkpoint.js';
import { dressingRoom, valuesOf } from './checkpoints.js';
import { makePackage } from './packages.js';

const CONFIG: JsonObject = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 96,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
};
const LAYERS = ['model.layers.*'];

const room = dressingRoom();
const original = join(room.work, 'original');
await writeRandomCheckpoint(original, CONFIG, 5);

const bytesOf = ({ file, offset, nbytes }: TensorRef) => readFileSync(file).subarray(offset, offset + nbytes);
const tensorsOf = (dir: string) => openCheckpoint(dir).tensors;

/** Arrays of one content; only the first difference is shown. */
function same(got: ArrayLike<number> | undefined, want: ArrayLike<number>, what: string): void {
  assert.is(got?.length, want.length, what);
  let at = 0;
  while (at < want.length && Object.is(got?.[at], want[at])) at++;
  assert.is(got?.[at], want[at], `${what}, element ${at}`);
}

const isMatrix = (name: string) => /layers.*proj\.weight$/.test(name);

/** Dresses step by step; every step must keep every code, and the values stay the same throughout. */
async function chain(first: QuantizeRequest, ...others: QuantizeRequest[]): Promise<string[]> {
  const dirs = [(await room.quantize(original, first)).dir];
  const values = await valuesOf(dirs[0]);
  for (const request of others) {
    const { dir, tensors } = await room.quantize(dirs[dirs.length - 1], request);
    const fates = tensors.filter(({ name }) => isMatrix(name)).map(({ fate }) => fate);
    assert.equal([...new Set(fates)], ['keeps'], request.layout);
    const after = await valuesOf(dir);
    for (const [name, expected] of values) {
      if (isMatrix(name)) same(after.get(name), expected, `${request.layout}: ${name}`);
    }
    dirs.push(dir);
  }
  return dirs;
}

/** Every byte of the matrices of one checkpoint in another. */
function sameParts(a: string, b: string): void {
  const [first, second] = [tensorsOf(a), tensorsOf(b)];
  let parts = 0;
  for (const [name, ref] of first) {
    if (!/layers.*proj\./.test(name)) continue;
    parts++;
    same(bytesOf(second.get(name) as TensorRef), bytesOf(ref), name);
  }
  assert.ok(parts > 14);
}

test('symmetric integers pass through every layout that has them, and come back byte for byte', async () => {
  const dirs = await chain(
    { layout: 'gptq', groupSize: '32' },
    { layout: 'compressed_tensors' },
    { layout: 'mlx', only: LAYERS },
    { layout: 'awq' },
    { layout: 'gptq_v2' },
    { layout: 'gptq' },
  );
  sameParts(dirs[0], dirs[5]);
});

test('zero points too: gptq_v2, awq and compressed_tensors and back', async () => {
  const dirs = await chain(
    { layout: 'gptq_v2', groupSize: '32', asymmetric: true },
    { layout: 'awq' },
    { layout: 'compressed_tensors' },
    { layout: 'gptq_v2' },
  );
  sameParts(dirs[0], dirs[3]);
});

test('zero points in mlx: biases in float32 hold them exactly, and codes go on from there', async () => {
  await chain(
    { layout: 'awq', groupSize: '64' },
    { layout: 'mlx', only: LAYERS },
    { layout: 'compressed_tensors' },
    { layout: 'mlx', only: LAYERS },
  );
});

test('int8, nvfp4, mxfp4 and fp8 keep their codes too', async () => {
  const eight = await chain(
    { layout: 'gptq', weights: 'int8', groupSize: '32' },
    { layout: 'compressed_tensors', weights: 'int8' },
    { layout: 'mlx', weights: 'int8', only: LAYERS },
    { layout: 'gptq', weights: 'int8' },
  );
  sameParts(eight[0], eight[3]);
  const nv = await chain(
    { layout: 'compressed_tensors', weights: 'nvfp4' },
    { layout: 'compressed_tensors', weights: 'nvfp4' },
  );
  sameParts(nv[0], nv[1]);
  const mx = await chain(
    { layout: 'compressed_tensors', weights: 'mxfp4' },
    { layout: 'mlx', weights: 'mxfp4', only: LAYERS },
    { layout: 'compressed_tensors', weights: 'mxfp4' },
  );
  sameParts(mx[0], mx[2]);
  const fp8 = await chain(
    { layout: 'deepseek_fp8' },
    { layout: 'compressed_tensors', weights: 'fp8_e4m3', scales: 'f32' },
    { layout: 'deepseek_fp8' },
  );
  sameParts(fp8[0], fp8[2]);
  const tensor: QuantizeRequest = {
    layout: 'compressed_tensors',
    weights: 'fp8_e4m3',
    strategy: 'tensor',
    scales: 'f32',
  };
  const { strategy: _, ...open } = tensor;
  const whole = await chain(tensor, open);
  sameParts(whole[0], whole[1]);
});

test('bnb_nf4 keeps its codes', async () => {
  const dirs = await chain({ layout: 'bnb_nf4' }, { layout: 'bnb_nf4' });
  sameParts(dirs[0], dirs[1]);
});

test('grids that differ are rounded again, and it is said which', async () => {
  const { dir } = await room.quantize(original, { layout: 'bnb_nf4' });
  const { tensors } = await room.quantize(dir, { layout: 'gptq', groupSize: '32' });
  assert.ok(tensors.every(({ fate }) => fate !== 'keeps'));
  assert.ok(
    room.notes.some((note) => /rounded again, since the grids differ: model\.layers\.0/.test(note)),
    `${room.notes}`,
  );
});

test('an ONNX package holds the codes and scales of the checkpoint that it is made from', async () => {
  const gptq = (await room.quantize(original, { layout: 'gptq', groupSize: '32' })).dir;
  const compressed = (await room.quantize(gptq, { layout: 'compressed_tensors' })).dir;
  const mlx = (await room.quantize(compressed, { layout: 'mlx', only: LAYERS })).dir;
  const awq = (await room.quantize(original, { layout: 'awq', groupSize: '32' })).dir;
  const packed = async (checkpoint: string) =>
    readFileSync(join(await makePackage(checkpoint, `${checkpoint}-onnx`, {}), 'model.onnx.data'));
  const data = await packed(gptq);
  same(await packed(compressed), data, 'compressed_tensors');
  same(await packed(mlx), data, 'mlx');
  // the words of pack-quantized are the bytes of MatMulNBits, which has scales in float32
  let matrices = 0;
  for (const [name, ref] of tensorsOf(compressed)) {
    if (!name.endsWith('.weight_packed')) continue;
    matrices++;
    assert.ok(data.includes(bytesOf(ref)), name);
  }
  assert.is(matrices, 14);
  const withZeros = await packed(awq);
  for (const [name, ref] of tensorsOf((await room.quantize(awq, { layout: 'compressed_tensors' })).dir)) {
    if (name.endsWith('.weight_packed')) assert.ok(withZeros.includes(bytesOf(ref)), name);
  }
});

test('plain is the way back from every layout, each value rounded once', async () => {
  const requests: QuantizeRequest[] = [
    { layout: 'awq', groupSize: '32' },
    { layout: 'bnb_nf4' },
    { layout: 'compressed_tensors', weights: 'nvfp4' },
    { layout: 'compressed_tensors', groupSize: '32', asymmetric: true },
    { layout: 'compressed_tensors', weights: 'fp8_e4m3' },
    { layout: 'gptq', groupSize: '32' },
    { layout: 'gptq_v2', groupSize: '32', asymmetric: true },
    { layout: 'mlx', groupSize: '32' },
    { layout: 'mlx', weights: 'mxfp4' },
  ];
  for (const request of requests) {
    const { dir } = await room.quantize(original, request);
    const back = await room.quantize(dir, { layout: 'plain', weights: 'bf16' });
    const { config, tensors } = openCheckpoint(back.dir);
    assert.is(config.quantization_config, undefined);
    assert.is(config.quantization, undefined);
    assert.equal([...tensors.keys()].sort(), [...tensorsOf(original).keys()].sort(), request.layout);
    const [dressed, plain] = [await valuesOf(dir), await valuesOf(back.dir)];
    for (const [name, values] of dressed) {
      if (!isMatrix(name)) continue;
      assert.is(tensors.get(name)?.dtype, 'BF16');
      const rounded = values.map((x) => bf16ToFloat32(float32ToBf16(x)));
      same(plain.get(name), rounded, `${request.layout}: ${name}`);
    }
  }
});

test('zero points of another version than config.json says are noticed by quantize', async () => {
  const { dir } = await room.quantize(original, { layout: 'gptq_v2', groupSize: '32' });
  const lying = { ...openCheckpoint(dir).config } as JsonObject;
  lying.quantization_config = { ...(lying.quantization_config as JsonObject), checkpoint_format: 'gptq' };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(lying));
  const { dir: fixed } = await room.quantize(dir, { layout: 'compressed_tensors' });
  assert.ok(
    room.notes.some((note) => /checkpoint_format says "gptq".*14 of 14 matrices/.test(note)),
    `${room.notes}`,
  );
  const honest = await room.quantize(original, { layout: 'gptq_v2', groupSize: '32' });
  const [got, want] = [await valuesOf(fixed), await valuesOf(honest.dir)];
  for (const [name, values] of want) if (isMatrix(name)) same(got.get(name), values, name);
});

test.after(room.remove);
test.run();
