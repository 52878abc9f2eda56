import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { readSafetensorsHeader } from '../../src/formats/safetensors.js';
import { writeSafetensors } from '../../src/formats/safetensors-writer.js';
import { plan } from '../../src/stages/plan.js';
import { fixturePath, openForReference } from '../architectures/packages.js';
import { difference } from '../reference/calls.js';
import { type GoldenTensor, readGolden, rowsOf } from '../runtime/golden-file.js';
import { dressingRoom } from './checkpoints.js';

const TOLERANCE = 2e-4;
const TABLE = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const work = mkdtempSync(join(tmpdir(), 'halfbyte-names-'));
const room = dressingRoom();
let count = 0;

type Config = Record<string, unknown>;
type Tensor = Parameters<typeof writeSafetensors>[1][number];

/** What another tool made of a fixture: other names, other tensors, another config.json. */
interface Change {
  /** Prefixes in place of `model.` and before `lm_head.`. */
  body?: string;
  head?: string;
  tensors?: (stored: Map<string, Tensor>) => void;
  config?: (config: Config) => Config;
}

function changed(fixture: string, { body = 'model.', head = '', tensors, config }: Change): string {
  const file = join(fixturePath(fixture), 'model.safetensors');
  const bytes = readFileSync(file);
  const stored = new Map<string, Tensor>();
  for (const { name, dtype, shape, offset, nbytes } of readSafetensorsHeader(file).tensors.values()) {
    stored.set(name, { name, dtype, shape, data: bytes.subarray(offset, offset + nbytes) });
  }
  tensors?.(stored);
  const renamed = [...stored.values()].map((tensor) => {
    if (tensor.name.startsWith('lm_head.')) return { ...tensor, name: head + tensor.name };
    return { ...tensor, name: tensor.name.replace(/^model\./, body) };
  });
  const dir = join(work, String(count++));
  mkdirSync(dir);
  writeSafetensors(join(dir, 'model.safetensors'), renamed);
  const original: Config = JSON.parse(readFileSync(join(fixturePath(fixture), 'config.json'), 'utf8'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config?.(original) ?? original));
  return dir;
}

const floats = (name: string, ...shape: number[]): Tensor => {
  const values = new Float32Array(shape.reduce((product, each) => product * each, 1)).fill(1);
  return { name, dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
};

const onlyHead = (stored: Map<string, Tensor>) => {
  const table = stored.get(TABLE) as Tensor;
  stored.delete(TABLE);
  stored.set(HEAD, { ...table, name: HEAD });
};

const tower = (stored: Map<string, Tensor>) => {
  for (const name of ['vision_tower.encoder.layers.0.mlp.fc1.weight', 'multi_modal_projector.linear_1.weight']) {
    stored.set(name, floats(name, 8, 16));
  }
};

const nested =
  (outer: Config) =>
  ({ tie_word_embeddings: _, ...text }: Config): Config => ({ ...outer, vision_config: {}, text_config: text });

async function offBy(dir: string, fixture: string): Promise<number> {
  const golden = readGolden(join(fixturePath(fixture), 'golden.safetensors'));
  const { graphs, run } = await openForReference(dir);
  const ids = rowsOf(golden.get('input_ids') as GoldenTensor);
  const { logits } = await run(graphs.decoder, ids);
  // the plan holds every weight to the drawing: none is missing, none left over
  await plan(openCheckpoint(dir), {});
  return difference(logits, (golden.get('logits') as GoldenTensor).data);
}

async function refusal(dir: string): Promise<string> {
  try {
    await plan(openCheckpoint(dir), {});
  } catch (error) {
    return (error as Error & { report: string }).report;
  }
  throw new Error('it was planned');
}

const prefixes: [body: string, head: string][] = [
  ['', ''],
  ['language_model.', ''],
  ['language_model.model.', 'language_model.'],
  ['model.language_model.', ''],
  ['model.text_model.', ''],
  ['language_model.model.model.', 'language_model.'],
];
for (const [body, head] of prefixes) {
  for (const fixture of ['llama-hd8', 'qwen2-untied']) {
    test(`${fixture}: tensors called "${body}layers.0..." are the same model`, async () => {
      assert.ok((await offBy(changed(fixture, { body, head }), fixture)) <= TOLERANCE);
    });
  }
}

test('a tied model that stores its table as the head alone is the same model', async () => {
  for (const body of ['model.', '', 'language_model.model.']) {
    assert.ok((await offBy(changed('llama-hd8', { body, tensors: onlyHead }), 'llama-hd8')) <= TOLERANCE);
  }
});

test('quantize writes a table that is stored as the head alone under its own name', async () => {
  const dir = changed('llama-hd8', { body: '', tensors: onlyHead });
  const { dir: out } = await room.quantize(dir, { layout: 'plain', weights: 'f32' });
  assert.ok((await offBy(out, 'llama-hd8')) <= TOLERANCE);
  assert.ok(openCheckpoint(out).tensors.has(TABLE));
});

test('a head alone is no table of a model that does not tie the two', async () => {
  const tensors = (stored: Map<string, Tensor>) => stored.delete(TABLE);
  assert.match(await refusal(changed('qwen2-untied', { tensors })), `"${TABLE}" is missing`);
});

test('a base model without a head, where none is tied to the table, is said to be that', async () => {
  const tensors = (stored: Map<string, Tensor>) => stored.delete(HEAD);
  const text = await refusal(changed('qwen2-untied', { body: '', tensors }));
  assert.match(text, `"${HEAD}" is missing`);
  assert.match(text, 'a base or an embedding model has none');
});

test('names of another kind are told beside those that are missing', async () => {
  const other = (stored: Map<string, Tensor>) => {
    for (const tensor of stored.values()) tensor.name = tensor.name.replace('model.layers.', 'blocks.');
  };
  const text = await refusal(changed('llama-hd8', { tensors: other }));
  assert.match(text, '"model.layers.0.');
  assert.match(text, '"blocks.0.');
  assert.not.match(text, 'shard');
});

test('two stacks of layers with a table each: neither is taken for the model', async () => {
  const tensors = (stored: Map<string, Tensor>) => {
    for (const [name, tensor] of [...stored]) {
      const second = name.replace('model.', 'talker.');
      stored.set(second, { ...tensor, name: second });
    }
  };
  assert.match(await refusal(changed('llama-hd8', { tensors })), 'has no use for it');
});

test('tables and frequencies of a rope that old files store are passed over', async () => {
  const tensors = (stored: Map<string, Tensor>) => {
    const names = [0, 1].flatMap((layer) =>
      ['inv_freq', 'cos_cached', 'sin_cached'].map((each) => `model.layers.${layer}.self_attn.rotary_emb.${each}`),
    );
    for (const name of [...names, 'model.rotary_emb.inv_freq', 'model.rotary_emb.full_attention_original_inv_freq']) {
      stored.set(name, floats(name, 4));
    }
  };
  for (const body of ['model.', '']) {
    assert.ok((await offBy(changed('llama-hd8', { body, tensors }), 'llama-hd8')) <= TOLERANCE);
  }
});

const wrappers: [fixture: string, outer: Config, change: Change][] = [
  ['llama-hd8', { model_type: 'llava', tie_word_embeddings: true }, { body: 'language_model.model.' }],
  ['llama-hd8', { model_type: 'idefics3', tie_word_embeddings: true }, { body: 'model.text_model.' }],
  ['mistral-swa', { model_type: 'mistral3' }, { body: 'language_model.model.', head: 'language_model.' }],
  ['qwen2-untied', { model_type: 'internvl' }, { body: 'model.language_model.' }],
  ['qwen2-untied', { model_type: 'qwen2_audio' }, { body: 'language_model.model.model.', head: 'language_model.' }],
];
for (const [fixture, outer, change] of wrappers) {
  test(`${outer.model_type}: the text model of ${fixture} is taken, and what is left out is told`, async () => {
    const dir = changed(fixture, { ...change, tensors: tower, config: nested(outer) });
    assert.ok((await offBy(dir, fixture)) <= TOLERANCE);
    const notes: string[] = [];
    await plan(openCheckpoint(dir), {}, undefined, (text) => notes.push(text));
    const told = notes.filter((text) => text.startsWith(`${outer.model_type}: `));
    assert.is(told.length, 1);
    assert.match(told[0], 'left out are multi_modal_projector, vision_tower (2 tensors, 1.0 kB)');
  });
}

test('a text model quantized out of a multimodal checkpoint is a checkpoint of its own', async () => {
  const outer = { model_type: 'mistral3', eos_token_id: 7 };
  const body = { body: 'language_model.model.', head: 'language_model.' };
  const dir = changed('mistral-swa', { ...body, tensors: tower, config: nested(outer) });
  const written = await room.quantize(dir, { layout: 'plain', weights: 'f32' });
  const config = JSON.parse(readFileSync(join(written.dir, 'config.json'), 'utf8'));
  assert.is(config.model_type, 'mistral');
  assert.is(config.text_config, undefined);
  assert.ok([...openCheckpoint(written.dir).tensors.keys()].every((name) => /^(model\.|lm_head\.)/.test(name)));
  assert.ok(room.notes.some((text) => text.includes('vision_tower')));
  assert.ok((await offBy(written.dir, 'mistral-swa')) <= TOLERANCE);
});

test('whether a nested model ties its head is asked as transformers does', async () => {
  const tied = (outer: Config, text: Config = {}): Change => ({
    body: 'language_model.model.',
    config: (config) => {
      const { text_config, ...rest } = nested(outer)(config) as { text_config: Config };
      return { ...rest, text_config: { ...text_config, ...text } };
    },
  });
  const same = async (change: Change) => (await offBy(changed('llama-hd8', change), 'llama-hd8')) <= TOLERANCE;
  assert.ok(await same(tied({ model_type: 'internvl' })), 'its class ties');
  assert.ok(await same(tied({ model_type: 'llava' }, { tie_word_embeddings: true })), 'its class asks the text model');
  const missing = `"${HEAD}" is missing`;
  assert.match(await refusal(changed('llama-hd8', tied({ model_type: 'llava' }))), missing);
  assert.match(
    await refusal(changed('llama-hd8', tied({ model_type: 'vipllava' }, { tie_word_embeddings: true }))),
    missing,
  );
  assert.match(
    await refusal(changed('llama-hd8', tied({ model_type: 'gemma3', tie_word_embeddings: false }))),
    missing,
  );
});

test('a model around a text model that is not known to leave it as it is is refused by name', async () => {
  const config = nested({ model_type: 'qwen2_vl' });
  assert.match(await refusal(changed('llama-hd8', { body: 'language_model.model.', config })), '"qwen2_vl"');
  const both = (flat: Config): Config => ({ ...flat, text_config: { ...flat, model_type: 'qwen2' } });
  assert.match(await refusal(changed('llama-hd8', { config: both })), 'one of them is not this model');
});

test('sizes that a text_config leaves out are those of its class', () => {
  const config = (text: Config) => () => ({
    model_type: 'gemma3',
    text_config: { model_type: 'gemma3_text', ...text },
  });
  const open = (text: Config) => openCheckpoint(changed('llama-hd8', { config: config(text) })).config;
  assert.is(open({ hidden_size: 2560 }).hidden_size, 2560);
  assert.is(open({ hidden_size: 2560 }).num_attention_heads, 8);
  assert.is(open({}).vocab_size, 262208);
});

test.after(() => {
  rmSync(work, { recursive: true, force: true });
  room.remove();
});
test.run();
