import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import { matchesGlob } from '../../src/core/glob.js';
import type { JsonObject } from '../../src/core/json.js';
import { own } from '../../src/core/own.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { openInput, readInput } from '../../src/formats/input-file.js';
import { packageManifestOf } from '../../src/formats/manifest-reader.js';
import { readSafetensorsHeader } from '../../src/formats/safetensors.js';
import { readJsonObject, readText } from '../../src/formats/text.js';
import { boundConfig } from '../../src/model/config-bounds.js';
import { InputFiles } from '../../src/sources/input-files.js';

const work = mkdtempSync(join(tmpdir(), 'halfbyte-hostile-files-'));
const place = (name: string) => join(work, name);

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.instance(error, InvalidInputError, `${error}`);
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

function safetensors(name: string, header: string, data = 0): string {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(place(name), Buffer.concat([length, text, Buffer.alloc(data)]));
  return place(name);
}

if (process.platform !== 'win32') {
  test('a pipe, a socket, a folder, a device and links in a circle are no inputs, wherever one is opened', async () => {
    execFileSync('mkfifo', [place('pipe')]);
    const server = createServer().listen(place('socket'));
    await new Promise((ready) => server.once('listening', ready));
    mkdirSync(place('folder'));
    symlinkSync(place('circle'), place('circle'));
    symlinkSync(place('gone'), place('dangling'));
    for (const path of [...['pipe', 'socket', 'folder', 'circle', 'dangling'].map(place), '/dev/zero']) {
      for (const read of [
        openInput,
        readText,
        readJsonObject,
        readSafetensorsHeader,
        (file: string) => readInput(file, 10),
        (file: string) => new InputFiles().read(file, 0, new Uint8Array(1)),
      ]) {
        assert.match(
          refusal(() => read(path)),
          /is (a|links?) /,
          path,
        );
      }
    }
    server.close();
  });

  test('a companion that is a link to nothing is an error, not a package without a tokenizer', () => {
    mkdirSync(place('checkpoint'));
    writeFileSync(join(place('checkpoint'), 'config.json'), '{}');
    safetensors('checkpoint/model.safetensors', '{}');
    symlinkSync(place('gone'), join(place('checkpoint'), 'tokenizer.json'));
    assert.match(
      refusal(() => openCheckpoint(place('checkpoint'))),
      /tokenizer\.json: is a link to a file that is not there/,
    );
  });
}

test('JSON nested deeper than a stack, and files larger than their kind', () => {
  for (const text of [`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, '{"a":'.repeat(50_000)]) {
    writeFileSync(place('deep.json'), text);
    assert.match(
      refusal(() => readJsonObject(place('deep.json'))),
      /deep\.json: is not valid JSON: .*nested deeper/,
    );
  }
  writeFileSync(place('strings.json'), JSON.stringify({ a: '['.repeat(1000), b: '\\"[[' }));
  assert.ok(readJsonObject(place('strings.json')));
  assert.match(
    refusal(() => readInput(place('strings.json'), 100)),
    /at most 100 are read/,
  );
});

test('a tensor of nothing with more rows than can be gone through is refused', () => {
  const header = (rows: number) => `{"a":{"dtype":"F32","shape":[${rows},0],"data_offsets":[0,0]}}`;
  assert.match(
    refusal(() => readSafetensorsHeader(safetensors('empty', header(2 ** 53 - 1)))),
    /holds nothing/,
  );
  assert.is(readSafetensorsHeader(safetensors('small', header(4))).tensors.size, 1);
});

test('a config cannot ask for more than its tensors have', () => {
  const ref = { name: 'a', dtype: 'F32' as const, shape: [64, 32], file: 'x', offset: 0, nbytes: 8192 };
  const tensors = new Map([['a', ref]]);
  const configs: JsonObject[] = [
    { num_hidden_layers: 10_000_000 },
    { head_dim: 2 ** 31 },
    { vocab_size: 2 ** 40 },
    { num_local_experts: 1e9 },
    { max_position_embeddings: 1e12 },
    { num_attention_heads: 60_000, head_dim: 60_000 },
  ];
  for (const config of configs) {
    assert.match(
      refusal(() => boundConfig(config, tensors, ['a'])),
      /config\.json: "\w+" is \d+, at most \d+ are possible/,
    );
    assert.match(
      refusal(() => boundConfig(config, new Map(), [])),
      /are possible/,
    );
  }
  boundConfig({ num_hidden_layers: 1, head_dim: 64, vocab_size: 1000, max_position_embeddings: 1 << 20 }, tensors, [
    'a',
  ]);
});

test('names that objects inherit are names like others', () => {
  const table = own({ a: 1 });
  for (const name of ['toString', 'constructor', '__proto__', 'hasOwnProperty']) assert.is(table[name], undefined);
  const name = '__proto__';
  table[name] = 2;
  assert.equal(Object.keys(table), ['a', '__proto__']);
  const header =
    '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"toString":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
  assert.equal([...readSafetensorsHeader(safetensors('names', header, 2)).tensors.keys()], ['__proto__', 'toString']);
});

test('globs with many stars take no longer than their lengths multiplied', () => {
  assert.not.ok(matchesGlob('a'.repeat(5000), `${'*a'.repeat(200)}*b`));
  for (const [name, glob, fits] of [
    ['model.layers.1.mlp', 'model.*.mlp', true],
    ['model.layers.1.mlp', '*mlp', true],
    ['model.layers.1.mlp', 'model.layers.?.mlp', true],
    ['model.layers.12.mlp', 'model.layers.?.mlp', false],
    ['abab', '*ab', true],
    ['', '*', true],
    ['', '?', false],
    ['a.c', 'a[.]c', false],
    ['a*', 'a\\*', false],
  ] as const) {
    assert.is(matchesGlob(name, glob), fits, `${name} ${glob}`);
  }
});

const digest = '0'.repeat(16);
const scheme = { scheme: 'f32', strategy: 'tensor', symmetric: true, scale_dtype: 'F32', algorithm: 'rtn' };
const manifest = () => ({
  format_version: 1,
  tool: { name: 'halfbyte', version: '1' },
  options: {
    target: 'cpu',
    weights: scheme,
    embeddings: scheme,
    lmHead: scheme,
    only: [],
    skip: [],
    overrides: [],
    accuracyLevel: 4,
    contextLength: 8,
    prefill: 1,
    activations: 'f32',
  },
  checkpoint: { config: {}, files: [] },
  totals: { parameters: 1, weightBytes: 1, bitsPerWeight: 1 },
  graphs: [{ file: 'model.onnx', operators: {} }],
  tensors: {
    'model.onnx': {
      a: { shape: [1], role: 'float', scheme, source: 'a', parts: { codes: { file: 'd', offset: 0, nbytes: 4 } } },
    },
  },
  digest_algorithm: 'xxh64',
  files: [{ name: 'd', size: 4, chunks: [{ offset: 0, nbytes: 4, digest }] }],
});

test('a manifest whose fields are missing or of another type says which', () => {
  packageManifestOf(manifest(), 'halfbyte.json');
  const damages: [string, (whole: ReturnType<typeof manifest>) => void][] = [
    ['tool', (each) => Reflect.deleteProperty(each, 'tool')],
    ['digest_algorithm', (each) => Reflect.deleteProperty(each, 'digest_algorithm')],
    ['digest_algorithm', (each) => Object.assign(each, { digest_algorithm: 7 })],
    ['files', (each) => Object.assign(each, { files: [] })],
    ['files.0.name', (each) => Object.assign(each.files[0], { name: '../elsewhere' })],
    ['files.0.chunks.0.digest', (each) => Object.assign(each.files[0].chunks[0], { digest: null })],
    ['files.0.chunks.0', (each) => Object.assign(each.files[0].chunks[0], { segments: 2 ** 40 })],
    ['graphs.0.file', (each) => Object.assign(each.graphs[0], { file: '/' })],
    ['tensors.model.onnx.a.shape', (each) => Object.assign(each.tensors['model.onnx'].a, { shape: 'x' })],
  ];
  for (const [key, damage] of damages) {
    const whole = manifest();
    damage(whole);
    const said = refusal(() => packageManifestOf(whole, 'halfbyte.json'));
    assert.ok(said.includes(`halfbyte.json: is not a manifest of format version 1: "${key}"`), said);
  }
});

test.after(() => rmSync(work, { recursive: true, force: true }));
test.run();
