import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvalidInputError } from '../../src/core/errors.js';
import type { GgufMetadata, GgufTensor } from '../../src/core/gguf.js';
import { ggufFileAt, openGgufCheckpoint } from '../../src/formats/gguf/checkpoint.js';
import { layoutGguf } from '../../src/formats/gguf/header.js';
import { layoutGgufParts, readGgufParts } from '../../src/formats/gguf/parts.js';
import { readGgufHeader } from '../../src/formats/gguf/reader.js';

const dir = mkdtempSync(join(tmpdir(), 'halfbyte-gguf-'));
test.after(() => rmSync(dir, { recursive: true }));

const metadata: GgufMetadata = {
  'general.architecture': { type: 'string', value: 'llama' },
  'llama.block_count': { type: 'u32', value: 2 },
  'llama.rope.freq_base': { type: 'f32', value: 500000 },
  'a.flag': { type: 'bool', value: true },
  'a.list': { type: 'string', values: ['', 'Ġthe', '▁x', '\u{1f600}'] },
  'a.small': { type: 'i8', values: [-128, 127] },
  'a.large': { type: 'u64', value: 2 ** 40 },
  'a.negative': { type: 'i64', value: -5 },
  'a.double': { type: 'f64', values: [0.1, -1e300] },
};
const tensors: GgufTensor[] = [
  { name: 'token_embd.weight', type: 'q4_0', shape: [3, 64] },
  { name: 'blk.0.ffn_down_exps.weight', type: 'q6_k', shape: [2, 3, 256] },
  { name: 'output_norm.weight', type: 'f32', shape: [5] },
];

/** A file with these bytes; its path. */
function file(bytes: Uint8Array, name = 'model.gguf'): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
}

function whole(values = metadata, all = tensors): Uint8Array {
  const { header, nbytes } = layoutGguf(values, all);
  const bytes = new Uint8Array(nbytes);
  bytes.set(header);
  return bytes;
}

test('what is laid out is read again, every place on a multiple of 32', () => {
  const { places, nbytes } = layoutGguf(metadata, tensors);
  const header = readGgufHeader(file(whole()));
  assert.equal({ ...header.metadata }, metadata);
  assert.is(header.size, nbytes);
  for (const { name, offset, nbytes: size, ...rest } of header.tensors) {
    assert.equal({ offset, nbytes: size }, places.get(name));
    assert.is(offset % 32, 0);
    assert.equal(
      { name, ...rest },
      tensors.find((tensor) => tensor.name === name),
    );
  }
});

test('the bytes are those of gguf.md: magic, version, counts, reversed dimensions', () => {
  const { header } = layoutGguf({ k: { type: 'u32', value: 7 } }, [{ name: 't', type: 'f16', shape: [2, 3] }]);
  const fields = [
    '47475546 03000000 0100000000000000 0100000000000000',
    '0100000000000000 6b 04000000 07000000',
    '0100000000000000 74 02000000 0300000000000000 0200000000000000 01000000 0000000000000000',
  ];
  const expected = fields.join('').replaceAll(' ', '');
  assert.is(Buffer.from(header).toString('hex').slice(0, expected.length), expected);
  assert.is(header.length % 32, 0);
});

const valid = whole();
const at = (text: string) => Buffer.from(valid).indexOf(text);
const patched = (change: (bytes: Uint8Array, view: DataView) => void) => {
  const bytes = valid.slice();
  change(bytes, new DataView(bytes.buffer));
  return bytes;
};
/** Place of a tensor's dimensions, after its name. */
const dimensionsOf = (name: string) => at(name) + name.length;

const hostile: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ['an empty file', new Uint8Array(0), /does not start as a GGUF/],
  [
    'a pointer of Git LFS',
    Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'),
    /pointer of Git LFS/,
  ],
  ['another format', patched((bytes) => bytes.set([0x50, 0x4b], 0)), /does not start as a GGUF/],
  ['an old version', patched((_, view) => view.setUint32(4, 1, true)), /version 1/],
  ['a big-endian file', patched((_, view) => view.setUint32(4, 3, false)), /big-endian/],
  ['more tensors than bytes', patched((_, view) => view.setUint32(8, 2 ** 31, true)), /claims 2147483648 tensors/],
  ['more keys than bytes', patched((_, view) => view.setUint32(16, 2 ** 31, true)), /2147483648 keys/],
  ['a count beyond 2^53', patched((_, view) => view.setUint32(12, 2 ** 31, true)), /no possible count/],
  ['a key without end', patched((_, view) => view.setUint32(24, 2 ** 30, true)), /a key of the metadata has/],
  ['a value of no type', patched((_, view) => view.setUint32(at('a.flag') + 6, 99, true)), /type 99/],
  ['a list in a list', patched((_, view) => view.setUint32(at('a.list') + 10, 9, true)), /nested/],
  ['a list beyond the end', patched((_, view) => view.setUint32(at('a.small') + 15, 2 ** 30, true)), /claims a list/],
  ['a string beyond the end', patched((_, view) => view.setUint32(at('a.list') + 22, 2 ** 30, true)), /file ends/],
  ['a key twice', patched((bytes) => bytes.set(Buffer.from('a.list'), at('a.flag'))), /stands twice/],
  ['no dimensions', patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight'), 0, true)), /0 dimensions/],
  ['five dimensions', patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight'), 5, true)), /5 dimensions/],
  [
    'half a block',
    patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight') + 4, 48, true)),
    /multiple of 32/,
  ],
  [
    'a size of 0',
    patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight') + 12, 0, true)),
    /impossible shape/,
  ],
  [
    'an absurd size',
    patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight') + 18, 0xffff, true)),
    /impossible|count/,
  ],
  [
    'a type not read',
    patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight') + 20, 10, true)),
    /type Q2_K/,
  ],
  [
    'no such type',
    patched((_, view) => view.setUint32(dimensionsOf('token_embd.weight') + 20, 777, true)),
    /unknown type, 777/,
  ],
  [
    'a hole',
    patched((_, view) => view.setUint32(dimensionsOf('output_norm.weight') + 16, 4096, true)),
    /starts at byte 4096/,
  ],
  ['missing data', valid.slice(0, valid.length - 40), /its tensors need/],
  ['a header cut off', valid.slice(0, 200), /claims|needed, the file ends/],
];
for (const [what, bytes, message] of hostile) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => readGgufHeader(file(bytes)),
      (error: unknown) => error instanceof InvalidInputError && message.test(error.message),
    );
  });
}

test('no change of a byte gives anything but a header or a clear refusal', () => {
  const header = layoutGguf(metadata, tensors).header.length;
  fc.assert(
    fc.property(fc.nat(header - 1), fc.nat(255), (place, byte) => {
      const path = file(patched((bytes) => bytes.set([byte], place)));
      try {
        readGgufHeader(path);
      } catch (error) {
        assert.ok(error instanceof InvalidInputError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('an architecture that is not known, and a part of a split model, are refused', () => {
  const other: GgufMetadata = { ...metadata, 'general.architecture': { type: 'string', value: 'rwkv7' } };
  const split: GgufMetadata = { ...metadata, 'split.count': { type: 'u16', value: 3 } };
  for (const [values, message] of [
    [other, /"rwkv7"/],
    [split, /one of 3 files/],
  ] as const) {
    assert.throws(
      () => openGgufCheckpoint(file(whole(values)), []),
      (error: unknown) => error instanceof InvalidInputError && message.test(error.message),
    );
  }
});

// ---------------------------------------------------------------- models in several files

/** A model of three files in a directory of its own, after `change` did what it wants to one of them. */
function inParts(what: string, change: (names: string[]) => void): string {
  const folder = mkdtempSync(join(dir, 'parts-'));
  const six = Array.from({ length: 6 }, (_, index) => ({ name: `tensor.${index}`, type: 'f32', shape: [8, 4] }));
  const { files, headers } = layoutGgufParts('model', metadata, six, 256);
  assert.is(files.length, 3, what);
  for (const [index, { name, nbytes }] of files.entries()) {
    const bytes = new Uint8Array(nbytes);
    bytes.set(Buffer.from(headers[index].base64, 'base64'));
    writeFileSync(join(folder, name), bytes);
  }
  const names = files.map(({ name }) => join(folder, name));
  change(names);
  return names[0];
}

const patch = (path: string, from: string, to: string) => {
  const bytes = readFileSync(path);
  const place = bytes.indexOf(from);
  assert.ok(place > 0, from);
  bytes.write(to, place, 'latin1');
  writeFileSync(path, bytes);
};

test('a model in parts: all tensors, each in its file', () => {
  const parts = readGgufParts(inParts('whole', () => {}));
  assert.equal(
    parts.map(({ header }) => header.tensors.length),
    [2, 2, 2],
  );
  assert.equal(parts[1].header.metadata['split.no'], { type: 'u16', value: 1 });
});

const broken: [what: string, change: (names: string[]) => void, message: RegExp][] = [
  ['a part is missing', (names) => rmSync(names[1]), /00002-of-00003.gguf: there is no such file; 1 of the 3 files/],
  [
    'parts changed places',
    ([, second, third]) => {
      const bytes = readFileSync(second);
      copyFileSync(third, second);
      writeFileSync(third, bytes);
    },
    /says that it is file 3 of 3; its name says 2 of 3/,
  ],
  [
    'a part of no model',
    ([, , third]) => writeFileSync(third, whole({})),
    /is no part of a model; its name says 3 of 3/,
  ],
  [
    'a tensor in two parts',
    ([, second]) => patch(second, 'tensor.2', 'tensor.0'),
    /"tensor.0" stands in model-00001-of-00003.gguf too/,
  ],
  [
    'another number of tensors',
    (names) => {
      const bytes = readFileSync(names[0]);
      bytes.writeInt32LE(99, bytes.indexOf('split.tensors.count') + 'split.tensors.count'.length + 4);
      writeFileSync(names[0], bytes);
    },
    /claims 99 tensors; its 3 files have 6/,
  ],
];
for (const [what, change, message] of broken) {
  test(`refused of a model in parts: ${what}`, () => {
    const first = inParts(what, change);
    assert.throws(
      () => readGgufParts(first),
      (error: unknown) => error instanceof InvalidInputError && message.test(error.message),
    );
  });
}

test('refused of a model in parts: a first file with another name', () => {
  const first = inParts('renamed', () => {});
  const renamed = join(dir, 'renamed.gguf');
  copyFileSync(first, renamed);
  assert.throws(() => readGgufParts(renamed), /is one of 3 files of a model, and not named so/);
});

test('a directory with one model in parts means its first file, one with two models neither', () => {
  const first = inParts('directory', () => {});
  assert.is(ggufFileAt(join(first, '..')), first);
  assert.is(ggufFileAt(first.replace('-00001-', '-00003-')), first);
  copyFileSync(first, join(first, '../other.gguf'));
  assert.throws(() => ggufFileAt(join(first, '..')), /holds 2 GGUF models/);
});

test.run();
