import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Checkpoint } from '../../src/core/checkpoint.js';
import type { ContainedTensor } from '../../src/core/dressing.js';
import { InvalidInputError, UsageError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import type { LogicalTensor } from '../../src/core/weights.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { layoutGguf } from '../../src/formats/gguf/header.js';
import { readGgufHeader } from '../../src/formats/gguf/reader.js';
import { ggufTensors } from '../../src/layouts/gguf/contents.js';
import { schemeOf } from '../../src/layouts/gguf/mixes.js';
import layout from '../../src/layouts/gguf.js';
import { logicalTensors } from '../../src/model/logical-tensors.js';
import { find } from '../../src/registry.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { openRows } from '../../src/sources/read.js';
import { gridOverrides } from '../../src/stages/kept-grids.js';
import { type QuantizeResult, quantize } from '../../src/stages/quantize.js';
import type { QuantizeRequest } from '../../src/stages/quantize-options.js';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'halfbyte-gguf-'));
test.after(() => rmSync(dir, { recursive: true }));

let outputs = 0;
/** Writes a fixture (or another checkpoint) with a layout; its directory and what was said. */
async function written(from: string, request: Partial<QuantizeRequest>, workers = 0) {
  const output = join(dir, String(outputs++));
  const notes: string[] = [];
  const result: QuantizeResult = await quantize(
    from,
    { layout: 'gguf', ...request },
    { output, dryRun: false, workers },
    () => {},
    new AbortController().signal,
    (note) => notes.push(note),
  );
  return { output, notes, result, file: join(output, 'model.gguf') };
}

async function floats(checkpoint: Checkpoint): Promise<Map<string, { shape: number[]; values: Float32Array }>> {
  const files = new InputFiles();
  const all = new Map<string, { shape: number[]; values: Float32Array }>();
  for (const { name, shape, source } of (await logicalTensors(checkpoint)).values()) {
    const values = new Float32Array(source.rows * source.cols);
    (await openRows(source, files)).readFloat32(0, source.rows, values);
    all.set(name, { shape, values });
  }
  files.close();
  return all;
}

// ---------------------------------------------------------------- which tensor gets which type

interface Mixes {
  cases: Record<string, { config: JsonObject; types: Record<string, Record<string, string>> }>;
}
const mixes: Mixes = JSON.parse(readFileSync(join(fixtures, 'layouts/gguf-mixes.json'), 'utf8'));

/** The tensors of a model by its drawing alone. */
async function drawn(config: JsonObject): Promise<{ tensors: ContainedTensor[]; complete: JsonObject }> {
  const architecture = (await find('architectures', config.model_type as string))!;
  const parsed = architecture.parseConfig(config);
  const graph = architecture.build(parsed, { contextLength: 64 });
  const logical = new Map<string, LogicalTensor>();
  for (const { source, shape } of Object.values(graph.weights)) {
    if (typeof source !== 'string') continue;
    const cols = shape.at(-1) as number;
    const rows = shape.reduce((product, each) => product * each, 1) / cols;
    logical.set(source, { name: source, shape, source: { kind: 'rotary', rows, cols, table: null as never } });
  }
  const complete = { ...config, head_dim: parsed.head_dim, rope_parameters: { rope_type: 'default' } };
  return { tensors: ggufTensors(complete, logical).tensors, complete };
}

for (const [name, { config, types }] of Object.entries(mixes.cases)) {
  test(`types as llama.cpp chooses them: ${name}`, async () => {
    const { tensors, complete } = await drawn(config);
    for (const [wanted, expected] of Object.entries(types)) {
      const found: Record<string, string[]> = {};
      for (const tensor of tensors) {
        const type = schemeOf(tensor, wanted, complete);
        if (type === 'f32') continue;
        const kind = tensor.name.replace(/^blk\.\d+\./, 'blk.{}.');
        found[kind] ??= [];
        found[kind].push(type);
      }
      const short = Object.entries(found).map(([kind, all]) => [
        kind,
        new Set(all).size === 1 ? all[0] : all.join(' '),
      ]);
      assert.equal(Object.fromEntries(short), expected, wanted);
    }
  });
}

// ---------------------------------------------------------------- there and back

const models = ['llama-gqa', 'granite', 'mistral-swa', 'qwen2-tied', 'qwen3', 'phi3', 'mixtral', 'deepseek-v3'];
for (const name of models) {
  test(`${name}: written as f32 and read again, every weight is what it was`, async () => {
    const original = openCheckpoint(join(fixtures, name));
    const { file } = await written(original.dir, { weights: 'f32' });
    const read = openCheckpoint(file);
    const [before, after] = [await floats(original), await floats(read)];
    const layers = original.config.num_hidden_layers as number;
    for (const [tensor, { shape, values }] of before) {
      if (Number(/layers\.(\d+)\./.exec(tensor)?.[1] ?? -1) >= layers) continue;
      assert.equal(after.get(tensor), { shape, values }, tensor);
    }
    for (const tensor of after.keys()) assert.ok(before.has(tensor), tensor);
    const architecture = (await find('architectures', read.config.model_type as string))!;
    architecture.parseConfig(read.config);
  });
}

/** The same model as llama.cpp wrote it before April 2025: kv_b_proj whole, the sizes of a head themselves. */
async function beforeSplit(from: string, both = false): Promise<string> {
  const { file } = await written(from, { weights: 'f32' });
  const whole = await floats(openCheckpoint(from));
  const bytes = readFileSync(file);
  const { metadata, tensors } = readGgufHeader(file);
  const old = Object.fromEntries(Object.entries(metadata).filter(([key]) => !key.endsWith('_mla')));
  old['deepseek2.attention.key_length'] = metadata['deepseek2.attention.key_length_mla'];
  old['deepseek2.attention.value_length'] = metadata['deepseek2.attention.value_length_mla'];
  const entries = tensors.flatMap(({ name, type, shape, offset, nbytes }) => {
    const entry = { name, type, shape, data: bytes.subarray(offset, offset + nbytes) };
    const [, layer, part] = /^blk\.(\d+)\.attn_([kv])_b\.weight$/.exec(name) ?? [];
    if (part === undefined) return [entry];
    const stored = whole.get(`model.layers.${layer}.self_attn.kv_b_proj.weight`)!;
    const { buffer } = stored.values;
    const merged = { name: `blk.${layer}.attn_kv_b.weight`, type, shape: stored.shape, data: Buffer.from(buffer) };
    return part === 'k' ? [...(both ? [entry] : []), merged] : [];
  });
  const { header, places, nbytes } = layoutGguf(old, entries);
  const out = Buffer.alloc(nbytes);
  out.set(header);
  for (const { name, data } of entries) out.set(data, places.get(name)!.offset);
  const output = join(dir, `before-split-${outputs++}.gguf`);
  writeFileSync(output, out);
  return output;
}

test('a file from before keys and values of latent attention were split is the same model', async () => {
  const original = openCheckpoint(join(fixtures, 'deepseek-v3'));
  const read = openCheckpoint(await beforeSplit(original.dir));
  const [before, after] = [await floats(original), await floats(read)];
  for (const [tensor, value] of after) assert.equal(value, before.get(tensor), tensor);
  assert.ok(after.has('model.layers.0.self_attn.kv_b_proj.weight'));
  for (const key of ['qk_nope_head_dim', 'qk_rope_head_dim', 'v_head_dim', 'kv_lora_rank']) {
    assert.is(read.config[key], original.config[key], key);
  }
});

test('keys and values of latent attention that are stored twice are refused', async () => {
  const read = openCheckpoint(await beforeSplit(join(fixtures, 'deepseek-v3'), true));
  const error = await logicalTensors(read).catch((each: InvalidInputError) => each);
  assert.match((error as InvalidInputError).message, 'both hold the same matrix');
});

test('tensors stand in order, each at a multiple of 32, under names of llama.cpp', async () => {
  const { file } = await written(join(fixtures, 'llama-gqa'), { weights: 'q8_0' });
  const { tensors, metadata } = readGgufHeader(file);
  assert.equal(
    tensors.slice(0, 5).map(({ name, type, shape }) => `${name} ${type} ${shape}`),
    [
      'output.weight q8_0 320,128',
      'output_norm.weight f32 128',
      'rope_freqs.weight f32 16',
      'token_embd.weight q8_0 320,128',
      'blk.0.attn_k.weight q8_0 64,128',
    ],
  );
  assert.equal(metadata['general.file_type'], { type: 'u32', value: 7 });
  assert.equal(metadata['llama.attention.head_count_kv'], { type: 'u32', value: 2 });
  assert.equal(metadata['tokenizer.ggml.model'], { type: 'string', value: 'none' });
});

test('rows of q and k go from halves to pairs, head by head', async () => {
  const name = 'model.layers.0.self_attn.k_proj.weight';
  const source = { kind: 'rotary' as const, rows: 8, cols: 4, table: null as never };
  const config = { model_type: 'llama', num_hidden_layers: 1, num_attention_heads: 4, num_key_value_heads: 2 };
  const logical = new Map<string, LogicalTensor>([[name, { name, shape: [8, 4], source }]]);
  const { tensors } = ggufTensors({ ...config, rope_parameters: { rope_type: 'default' } }, logical);
  assert.equal(tensors[0].content, {
    source: { permuteRows: name, order: [0, 2, 1, 3, 4, 6, 5, 7] },
    from: [name],
  });
});

test('workers change no byte', async () => {
  const [one, two] = [
    await written(join(fixtures, 'qwen2-tied'), {}),
    await written(join(fixtures, 'qwen2-tied'), {}, 2),
  ];
  assert.ok(readFileSync(one.file).equals(readFileSync(two.file)));
  assert.equal(readdirSync(one.output), ['halfbyte.json', 'model.gguf']);
});

test('a model in parts: each within the bound, together the same tensors, read from any of them', async () => {
  const checkpoint = join(fixtures, 'qwen2-tied');
  const [one, parts] = [await written(checkpoint, {}), await written(checkpoint, { maxShardSize: '40kB' })];
  const names = readdirSync(parts.output).filter((name) => name.endsWith('.gguf'));
  assert.ok(names.length > 2);
  assert.is(names[1], `model-00002-of-${String(names.length).padStart(5, '0')}.gguf`);
  const whole = readGgufHeader(one.file);
  const bytes = (file: string, { offset, nbytes }: { offset: number; nbytes: number }) =>
    readFileSync(file).subarray(offset, offset + nbytes);
  const found = names.flatMap((name, index) => {
    const file = join(parts.output, name);
    const { metadata, tensors } = readGgufHeader(file);
    assert.equal(metadata['split.no'], { type: 'u16', value: index });
    assert.equal(metadata['split.count'], { type: 'u16', value: names.length });
    assert.equal(metadata['split.tensors.count'], { type: 'i32', value: whole.tensors.length });
    assert.is(Object.keys(metadata).length, index === 0 ? Object.keys(whole.metadata).length + 3 : 3);
    assert.ok(tensors.length === 1 || tensors.reduce((sum, { nbytes }) => sum + nbytes, 0) <= 40_000);
    return tensors.map((tensor) => ({ name: tensor.name, bytes: bytes(file, tensor) }));
  });
  assert.equal(
    found.map(({ name }) => name),
    whole.tensors.map(({ name }) => name),
  );
  for (const [index, tensor] of whole.tensors.entries()) {
    assert.ok(found[index].bytes.equals(bytes(one.file, tensor)), tensor.name);
  }
  const expected = await floats(openCheckpoint(one.file));
  for (const path of [parts.output, join(parts.output, names[1])]) {
    const read = openCheckpoint(path);
    assert.equal(
      read.files.map(({ name }) => name),
      names,
    );
    assert.equal(await floats(read), expected);
  }
});

test('codes of q4_0 and q8_0 are those of int4 and int8, permuted heads too', async () => {
  for (const [weights, scheme] of [
    ['q4_0', 'int4'],
    ['q8_0', 'int8'],
  ]) {
    const { file } = await written(join(fixtures, 'llama-gqa'), { weights });
    const again = await written(file, { layout: 'plain', weights: 'f32' });
    const read = openCheckpoint(file);
    const logical = await logicalTensors(read);
    const source = logical.get('model.layers.0.self_attn.q_proj.weight')?.source;
    if (source?.kind !== 'packed') throw new Error('q is not packed');
    const args = layout.grid?.(source);
    assert.is(args?.scheme, scheme);
    const made = (await find('schemes', scheme))!;
    const bytes = layout.needs(source, 0, source.rows).codes[0];
    const files = new InputFiles();
    const codes = new Uint8Array(bytes.nbytes);
    files.read(bytes.file, bytes.offset, codes);
    files.close();
    const out = Object.fromEntries(
      Object.entries(made.layout(source.rows, source.cols, args!)).map(([part, { nbytes }]) => [
        part,
        new Uint8Array(nbytes),
      ]),
    );
    layout.unpack?.(source, 0, source.rows, { codes }, args!, out);
    const values = new Float32Array(source.rows * source.cols);
    made.dequantize(out, source.rows, source.cols, args!, values);
    assert.equal(values, (await floats(openCheckpoint(again.output))).get(source.name)?.values);
    const options = { skip: [], only: [], weights: made.defaults } as never;
    const kept = await gridOverrides(logical, options, () => {});
    assert.ok(
      kept.some(({ pattern }) => pattern === source.name),
      'a conversion keeps the codes',
    );
  }
});

// ---------------------------------------------------------------- what is said and refused

test('the tokenizer of union-1.8m: byte-level BPE with the pre-tokenizer of qwen2', async () => {
  const { file, notes } = await written(join(fixtures, 'union-1.8m'), { weights: 'q4_k_m' });
  const { metadata, tensors } = readGgufHeader(file);
  const tokenizer = JSON.parse(readFileSync(join(fixtures, 'union-1.8m/tokenizer.json'), 'utf8'));
  const value = (key: string) => {
    const found = metadata[`tokenizer.ggml.${key}`];
    return 'value' in found ? found.value : found.values;
  };
  assert.is(value('model'), 'gpt2');
  assert.is(value('pre'), 'qwen2');
  const tokens = value('tokens') as string[];
  for (const [token, id] of Object.entries(tokenizer.model.vocab)) assert.is(tokens[id as number], token);
  assert.equal(
    value('merges'),
    tokenizer.model.merges.map((merge: string | string[]) => [merge].flat().join(' ')),
  );
  assert.is((value('token_type') as number[])[0], 3, 'a special token is a control token');
  assert.is(value('eos_token_id'), 0);
  assert.is(value('add_bos_token'), false);
  assert.equal(notes, []);
  // 192 columns are no multiple of 256
  assert.is(tensors.find(({ name }) => name === 'blk.1.attn_q.weight')?.type, 'q5_0');
  assert.is(tensors.find(({ name }) => name === 'token_embd.weight')?.type, 'q8_0');
});

test('--only, --skip and --override take names of both worlds', async () => {
  const { file } = await written(join(fixtures, 'union-1.8m'), {
    weights: 'q8_0',
    only: ['model.layers.*', 'token_embd.weight'],
    skip: ['blk.0.*'],
    override: ['model.layers.1.mlp.down_proj.weight=q4_k', 'blk.2.ffn_down.weight=q6_k'],
  });
  const { tensors } = readGgufHeader(file);
  const type = (name: string) => tensors.find((tensor) => tensor.name === name)?.type;
  assert.is(type('blk.0.attn_q.weight'), 'bf16');
  assert.is(type('blk.1.attn_q.weight'), 'q8_0');
  assert.is(type('blk.1.ffn_down.weight'), 'q4_k');
  assert.is(type('blk.2.ffn_down.weight'), 'q6_k');
  assert.is(type('token_embd.weight'), 'q8_0');
});

test('what llama.cpp cannot run as it is, is refused or said', async () => {
  const refused = async (name: string, key: RegExp) => {
    try {
      await written(join(fixtures, name), {});
    } catch (error) {
      assert.instance(error, InvalidInputError);
      assert.match((error as Error).message, key);
      return;
    }
    assert.unreachable(`${name} was written`);
  };
  await refused('qwen3-moe', /norm_topk_prob/);
  await refused('gemma2', /query_pre_attn_scalar/);
  await refused('deepseek-v2-lite', /q_lora_rank/);
  const { notes } = await written(join(fixtures, 'mistral-swa'), { weights: 'f16' });
  assert.match(notes.join('\n'), /no sliding window: beyond 8 tokens/);
});

test('schemes of other layouts are a usage error', async () => {
  try {
    await written(join(fixtures, 'union-1.8m'), { weights: 'int4' });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as Error).message, /layout gguf has f32, f16, bf16, q4_0/);
  }
});

test.run();
