import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import { matrixKind } from '../../src/core/matrix-kinds.js';
import { rejects } from '../rejects.js';
import { dressingRoom } from './checkpoints.js';
import { llamaConfig, llamaTensors, type Stored, writeCheckpoint } from './written-checkpoint.js';

const room = dressingRoom();
let count = 0;
const written = (...[config, tensors]: [Parameters<typeof writeCheckpoint>[1], Record<string, Stored>]) =>
  writeCheckpoint(join(room.work, `in-${count++}`), config, tensors);
const W4 = { layout: 'compressed_tensors', groupSize: '32' };
const fates = (tensors: { name: string; fate: string }[]) =>
  tensors.filter(({ fate }) => fate !== 'unquantized').map(({ name }) => name);

test('a family that is not drawn is refused; asked to go by names, a note says what was taken and what was not', async () => {
  const experts = { shape: [8, 64, 64] };
  const dir = written(llamaConfig(1, { model_type: 'llama4_text' }), {
    ...llamaTensors(1),
    'model.layers.0.feed_forward.experts.down_proj': experts,
    'model.layers.0.feed_forward.experts.gate_up_proj': { shape: [8, 64, 128] },
    'model.layers.0.feed_forward.router.weight': { shape: [8, 64] },
  });
  await rejects(room.quantize(dir, W4), InvalidInputError, /llama4_text/, /--unknown-architecture/);
  const { tensors } = await room.quantize(dir, { ...W4, unknownArchitecture: true });
  assert.is(fates(tensors).length, 7);
  const [note] = room.notes.filter((each) => /not drawn/.test(each));
  assert.match(note, /Taken for matrices of linear layers: 7 of 73\.7 kB/);
  assert.match(note, /three axes and more: 2 of 197 kB, as "model\.layers\.0\.feed_forward\.experts\.\w+"/);
  assert.match(note, /routers: 1 of 1\.02 kB/);
  assert.match(note, /embeddings: 1 of 12\.3 kB/);
});

test('the flag changes nothing for a family that is drawn: what its drawing misses is refused', async () => {
  const { 'model.layers.0.mlp.up_proj.weight': _, ...less } = llamaTensors();
  for (const unknownArchitecture of [false, true]) {
    const dir = written(llamaConfig(), less);
    await rejects(room.quantize(dir, { ...W4, unknownArchitecture }), InvalidInputError, /up_proj\.weight" is missing/);
  }
  const other = { ...llamaTensors(), 'model.layers.0.mlp.up_proj.weight': { shape: [96, 64] } };
  await rejects(
    room.quantize(written(llamaConfig(), other), W4),
    InvalidInputError,
    /up_proj.*\[96, 64\].*\[128, 64\]/,
  );
  const more = { ...llamaTensors(), 'model.layers.0.mlp.extra.weight': { shape: [64, 64] } };
  await rejects(room.quantize(written(llamaConfig(), more), W4), InvalidInputError, /mlp\.extra\.weight.*no use/);
});

test('a tensor without elements is refused, drawn or not', async () => {
  for (const model_type of ['llama', 'unheard_of']) {
    const tensors = { ...llamaTensors(), 'model.layers.1.mlp.up_proj.weight': { shape: [0] } };
    const dir = written(llamaConfig(2, { model_type }), tensors);
    await rejects(
      room.quantize(dir, { ...W4, unknownArchitecture: true }),
      InvalidInputError,
      /layers\.1\.mlp\.up_proj\.weight" is \[0\]/,
    );
  }
});

test('matrices stored [in, out], which their biases show, and tables of positions are left alone and named', async () => {
  const dir = written(
    { model_type: 'gpt2', torch_dtype: 'bfloat16' },
    {
      'wte.weight': { shape: [96, 64] },
      'wpe.weight': { shape: [32, 64] },
      'h.0.attn.c_attn.weight': { shape: [64, 192] },
      'h.0.attn.c_attn.bias': { shape: [192] },
      'h.0.attn.c_proj.weight': { shape: [64, 64] },
      'h.0.attn.c_proj.bias': { shape: [64] },
      'h.0.other.weight': { shape: [64, 64] },
    },
  );
  const { tensors } = await room.quantize(dir, { ...W4, unknownArchitecture: true });
  assert.equal(fates(tensors), ['h.0.other.weight']);
  assert.match(room.notes.join('\n'), /matrices stored \[in, out\]: 2 of 32\.8 kB/);
  const mlx = await room.quantize(dir, { layout: 'mlx', groupSize: '32', unknownArchitecture: true });
  assert.equal(fates(mlx.tensors).sort(), ['h.0.other.weight', 'wte.weight']);
});

test('a linear layer whose bias has an entry for each output is one, whatever its name', async () => {
  const dir = written(
    { model_type: 'gpt_bigcode' },
    { 'h.0.mlp.c_fc.weight': { shape: [256, 64] }, 'h.0.mlp.c_fc.bias': { shape: [256] } },
  );
  assert.equal(fates((await room.quantize(dir, { ...W4, unknownArchitecture: true })).tensors), [
    'h.0.mlp.c_fc.weight',
  ]);
});

test('kinds by names: routers and tables that are no linear layers', () => {
  const kinds: Record<string, string[]> = {
    router: [
      'model.layers.0.mlp.gate.weight',
      'transformer.blocks.0.ffn.router.layer.weight',
      'model.layers.0.mlp.gate.wg.weight',
      'model.layers.0.block_sparse_moe.gate.weight',
      'model.layers.0.mlp.shared_expert_gate.weight',
      'model.layers.0.feed_forward.router.weight',
    ],
    table: [
      'transformer.pos_embed.weight',
      'model.position_embedding.weight',
      'model.embed_tokens_per_layer.weight',
      'model.decoder.embed_positions.weight',
      'transformer.wpe.weight',
      'decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight',
    ],
    embedding: ['model.embed_tokens.weight', 'transformer.wte.weight', 'shared.weight'],
    lm_head: ['lm_head.weight', 'output.weight'],
    linear: ['model.layers.0.mlp.gate_proj.weight', 'model.layers.0.mlp.gate_up_proj.weight', 'a.output.dense.weight'],
  };
  for (const [kind, names] of Object.entries(kinds)) for (const name of names) assert.is(matrixKind(name), kind, name);
});

test.after(room.remove);
test.run();
