import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TensorRef } from '../../src/core/checkpoint.js';
import { type Dtype, f8e4m3ToFloat32 } from '../../src/core/dtype.js';
import { InvalidInputError } from '../../src/core/errors.js';
import type { JsonObject } from '../../src/core/json.js';
import type { StoredValues } from '../../src/core/layout.js';
import type { RowSource } from '../../src/core/weights.js';
import { openCheckpoint } from '../../src/formats/checkpoint.js';
import { loadKernels } from '../../src/kernels/kernels.js';
import layout from '../../src/layouts/deepseek_fp8.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { kernelGrid } from '../../src/sources/kernel-decoder.js';
import { openRows } from '../../src/sources/read.js';
import { resolveSource } from '../../src/sources/resolve.js';
import { randomBytes, StoredTensors } from '../sources/stored.js';
import { type FloatVector, holdFloats, MemoryTensors, vectorsOf } from './vectors.js';

const config = (settings: JsonObject = {}): JsonObject => ({
  quantization_config: {
    quant_method: 'fp8',
    fmt: 'e4m3',
    weight_block_size: [128, 128],
    activation_scheme: 'dynamic',
    ...settings,
  },
});

/** Headers tell this layout all, but for scales that are said to be powers of two. */
const noValues: StoredValues = {
  read: () => {
    throw new Error('no values are needed');
  },
  note: () => {},
};

/** Every value one by one, as deepseek-ai/DeepSeek-V3's inference/kernel.py has it. */
function dequantized(codes: Uint8Array, [rows, cols]: number[], scales: Float32Array): Float32Array {
  const across = Math.ceil(cols / 128);
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    return f8e4m3ToFloat32(codes[i]) * scales[(row >> 7) * across + (col >> 7)];
  });
}

/** A stored pair of codes and scales, what they stand for, and a reader of any rows. */
function storedPair(shape: number[], scaleDtype: Dtype = 'F32') {
  const stored = new StoredTensors();
  const scaleShape = shape.map((size) => Math.ceil(size / 128));
  const codes = randomBytes('F8_E4M3', shape[0] * shape[1], 7);
  const scales = stored.add(
    'w.weight_scale_inv',
    scaleDtype,
    scaleShape,
    randomBytes(scaleDtype, scaleShape[0] * scaleShape[1], 3),
  );
  stored.add('w.weight', 'F8_E4M3', shape, codes);
  const refs = new Map<string, TensorRef>();
  for (const [name, { logical }] of stored.tensors) {
    if (logical.source.kind === 'tensor') refs.set(name, logical.source.ref);
  }
  return { stored, refs, expected: dequantized(codes, shape, scales.values) };
}

for (const [shape, dtype] of [
  [[300, 200], 'F32'],
  [[128, 128], 'F32'],
  [[1, 129], 'F32'],
  [[257, 1], 'BF16'],
  [[576, 384], 'BF16'],
] as [number[], Dtype][]) {
  test(`[${shape}] with ${dtype} scales: rows from anywhere equal code times scale`, async () => {
    const { stored, refs, expected } = storedPair(shape, dtype);
    const files = new InputFiles();
    try {
      const logical = layout.undress(refs, config(), noValues);
      assert.equal([...logical.keys()], ['w.weight']);
      const [rows, cols] = shape;
      for (const [from, count] of [
        [0, rows],
        [0, 1],
        [rows - 1, 1],
        [Math.min(127, rows - 1), Math.min(2, rows - Math.min(127, rows - 1))],
        [rows >> 1, rows - (rows >> 1)],
      ]) {
        const reader = await openRows(
          resolveSource('w.weight', (name) => logical.get(name)),
          files,
        );
        const out = new Float32Array(count * cols);
        reader.readFloat32(from, count, out);
        assert.equal(out, expected.slice(from * cols, (from + count) * cols), `rows ${from} to ${from + count}`);
      }
    } finally {
      files.close();
      stored.close();
    }
  });
}

for (const [shape, dtype, powers] of [
  [[300, 200], 'F32', false],
  [[257, 1], 'BF16', false],
  [[576, 384], 'BF16', false],
  [[300, 129], 'F32', true],
] as [number[], Dtype, boolean][]) {
  test(`[${shape}] with ${dtype} scales${powers ? ', powers of two' : ''}: kernels decode what the layout decodes`, async () => {
    const { stored, refs } = storedPair(shape, dtype);
    const files = new InputFiles();
    const kernels = loadKernels();
    const [rows, cols] = shape;
    // room for seven rows, so that reads take several tiles; one row must fit
    const nbytes = 7 * (5 * cols + 4 * Math.ceil(cols / 128)) + 32;
    kernels.reserve(nbytes + 4 * rows * cols + 16);
    const room = { kernels, address: kernels.heapBase, nbytes };
    try {
      const { source } = layout.undress(refs, config(), noValues).get('w.weight')!;
      assert.ok(typeof source !== 'string' && 'kind' in source && source.kind === 'packed');
      if (powers) source.parameters.powers = true;
      assert.ok(kernelGrid(source, layout, room), 'there is a kernel for it');
      const turned = { kind: 'interleave' as const, sources: [source, source], rows: 2 * rows, cols };
      for (const [wanted, from, count] of [
        [source, 0, rows],
        [source, rows - 1, 1],
        [source, 120, Math.min(20, rows - 120)],
        [turned, 130, 200],
      ] as [RowSource, number, number][]) {
        const expected = new Float32Array(count * cols);
        (await openRows(wanted, files)).readFloat32(from, count, expected);
        const reader = await openRows(wanted, files, room);
        const elsewhere = new Float32Array(count * cols);
        reader.readFloat32(from, count, elsewhere);
        assert.equal(elsewhere, expected, `${wanted.kind}: rows ${from} to ${from + count}`);
        const to = Math.ceil((kernels.heapBase + nbytes) / 16) * 16;
        if (count > rows) continue;
        const inside = new Float32Array(kernels.bytes(0, 0).buffer, to, count * cols);
        reader.readFloat32(from, count, inside);
        assert.equal(inside.slice(), expected, `${wanted.kind}: rows ${from} to ${from + count} in kernel memory`);
      }
      assert.not(
        kernelGrid(
          { ...source, parts: { ...source.parts, scales: { ...source.parts.scales, dtype: 'F64' } } },
          layout,
          room,
        ),
      );
    } finally {
      files.close();
      stored.close();
    }
  });
}

test('readers of many experts hold no more than those of one', async () => {
  const { stored, refs } = storedPair([64, 512]);
  const files = new InputFiles();
  try {
    const { source } = layout.undress(refs, config(), noValues).get('w.weight')!;
    assert.ok(typeof source !== 'string' && 'kind' in source);
    const gateUp: RowSource = { kind: 'interleave', sources: [source, source], rows: 128, cols: 512 };
    const experts: RowSource = { kind: 'concat', sources: new Array(40).fill(gateUp), rows: 40 * 128, cols: 512 };
    const [one, many] = [await openRows(gateUp, files), await openRows(experts, files)];
    const before = process.memoryUsage().arrayBuffers;
    const out = new Float32Array(128 * 512);
    for (let first = 0; first < experts.rows; first += 128) many.readFloat32(first, 128, out);
    const held = process.memoryUsage().arrayBuffers - before - out.byteLength;
    assert.ok(held <= one.scratchBytes(128), `${held} bytes are held`);
    assert.is(many.scratchBytes(128), one.scratchBytes(128));
  } finally {
    files.close();
    stored.close();
  }
});

test('every matrix of the fixture dequantizes to code times scale, slices of heads included', async () => {
  const {
    dir,
    tensors,
    config: json,
  } = openCheckpoint(fileURLToPath(new URL('../../fixtures/deepseek-v3-fp8', import.meta.url)));
  assert.ok(layout.matches(json), dir);
  const logical = layout.undress(tensors, json, noValues);
  const files = new InputFiles();
  let matrices = 0;
  try {
    for (const ref of tensors.values()) {
      if (ref.dtype !== 'F8_E4M3') continue;
      matrices++;
      const codes = new Uint8Array(ref.nbytes);
      files.read(ref.file, ref.offset, codes);
      const scaleRef = tensors.get(`${ref.name}_scale_inv`) as TensorRef;
      const scaleBytes = new Uint8Array(scaleRef.nbytes);
      files.read(scaleRef.file, scaleRef.offset, scaleBytes);
      const expected = dequantized(codes, ref.shape, new Float32Array(scaleBytes.buffer));
      const [rows, cols] = ref.shape;
      const out = new Float32Array(rows * cols);
      const reader = await openRows(
        resolveSource(ref.name, (name) => logical.get(name)),
        files,
      );
      reader.readFloat32(0, rows, out);
      assert.equal(out, expected, ref.name);

      const everyOther = { rows: ref.name, from: 1, to: 3, stride: 4, count: rows >> 2 };
      const heads = await openRows(
        resolveSource(everyOther, (name) => logical.get(name)),
        files,
      );
      const sliced = new Float32Array(heads.rows * cols);
      heads.readFloat32(0, heads.rows, sliced);
      const rowsOfSlice = Array.from({ length: heads.rows }, (_, i) => 4 * (i >> 1) + 1 + (i & 1));
      const taken = rowsOfSlice.flatMap((row) => [...expected.subarray(row * cols, (row + 1) * cols)]);
      assert.equal(sliced, Float32Array.from(taken), `${ref.name} by slices`);
    }
  } finally {
    files.close();
  }
  assert.ok(matrices > 50, `${matrices} matrices`);
});

for (const vector of vectorsOf<FloatVector>('fp8').filter(({ name }) => name.startsWith('deepseek'))) {
  test(`vector of ${vector.name}: read and written`, async () => {
    await holdFloats(layout, config(), vector, { quanta: [1, 50, 200], counts: [128, 256] });
  });
}

test('scales that config.json calls powers of two are kept as such, where they are', async () => {
  const codes = Uint8Array.of(0x38);
  const make = (scale: number) => {
    const memory = new MemoryTensors({});
    memory.add('m.weight', 'F8_E4M3', [1, 1], codes);
    memory.add('m.weight_scale_inv', 'F32', [1, 1], new Uint8Array(Float32Array.of(scale).buffer));
    return { memory, source: memory.packed(layout, config({ scale_fmt: 'ue8m0' })) };
  };
  const { memory, source } = make(2 ** -9);
  const grid = layout.grid(source);
  assert.is(grid?.scale_dtype, 'F8_E8M0');
  if (grid) assert.equal([...(await memory.unpack(layout, source, grid)).scales], [118]);
  assert.is(layout.grid(make(0.003).source)?.scale_dtype, 'F32');
});

test('float tensors beside the quantized ones stand as they are', () => {
  const { stored, refs } = storedPair([8, 8]);
  stored.add('norm.weight', 'BF16', [8], randomBytes('BF16', 8, 1));
  const norm = stored.lookup('norm.weight');
  if (norm?.source.kind === 'tensor') refs.set('norm.weight', norm.source.ref);
  assert.equal(layout.undress(refs, config(), noValues).get('norm.weight'), norm);
  stored.close();
});

const refusals: [
  what: string,
  settings: JsonObject,
  change: (refs: Map<string, TensorRef>) => void,
  message: RegExp,
][] = [
  ['scales are missing', {}, (refs) => refs.delete('w.weight_scale_inv'), /w\.weight" is F8_E4M3 and needs its scales/],
  ['codes are missing', {}, (refs) => refs.delete('w.weight'), /scales "w\.weight", which is missing/],
  ['weights were cast back', {}, (refs) => reshape(refs, 'w.weight', { dtype: 'BF16' }), /which is BF16; it needs F8/],
  [
    'scales have another shape',
    {},
    (refs) => reshape(refs, 'w.weight_scale_inv', { shape: [2, 3] }),
    /\[2, 3\].*needs \[3, 2\]/,
  ],
  ['scales are a vector', {}, (refs) => reshape(refs, 'w.weight_scale_inv', { shape: [6] }), /\[6\].*needs \[3, 2\]/],
  [
    'scales are integers',
    {},
    (refs) => reshape(refs, 'w.weight_scale_inv', { dtype: 'I32' }),
    /dtype I32; scales need/,
  ],
  [
    'codes have three dimensions',
    {},
    (refs) => reshape(refs, 'w.weight', { shape: [3, 100, 200] }),
    /needs two dimensions/,
  ],
  ['blocks are of another size', { weight_block_size: [64, 128] }, () => {}, /blocks of 64 x 128 needs \[5, 2\]/],
  ['a block has no rows', { weight_block_size: [0, 128] }, () => {}, /weight_block_size is \[0,128\]/],
  ['there are no blocks', { weight_block_size: null }, () => {}, /weight_block_size is null/],
  ['codes are of another format', { fmt: 'e5m2' }, () => {}, /fmt is "e5m2"/],
  ['activations are static', { activation_scheme: 'static' }, () => {}, /activation_scheme is "static"/],
];

function reshape(refs: Map<string, TensorRef>, name: string, change: Partial<TensorRef>): void {
  refs.set(name, { ...(refs.get(name) as TensorRef), ...change });
}

for (const [what, settings, change, message] of refusals) {
  test(`an error that names the tensor or key when ${what}`, () => {
    const { stored, refs } = storedPair([300, 200]);
    change(refs);
    try {
      layout.undress(refs, config(settings), noValues);
      assert.unreachable('accepted');
    } catch (error) {
      assert.instance(error, InvalidInputError);
      assert.match((error as Error).message, message);
    } finally {
      stored.close();
    }
  });
}

test('another quantization method is not its own', () => {
  assert.not(layout.matches({}));
  assert.not(layout.matches({ quantization_config: null }));
  assert.not(layout.matches({ quantization_config: { quant_method: 'gptq' } }));
});

test.run();
