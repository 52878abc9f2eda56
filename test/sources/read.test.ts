import { truncateSync, unlinkSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dtype } from '../../src/core/dtype.js';
import { EnvironmentError, InvalidInputError } from '../../src/core/errors.js';
import type { RotaryTable, WeightSource } from '../../src/core/weights.js';
import { InputFiles } from '../../src/sources/input-files.js';
import { openRows } from '../../src/sources/read.js';
import { resolveSource } from '../../src/sources/resolve.js';
import { forEachStoredRange, storedDtype } from '../../src/sources/stored-rows.js';
import { randomBytes, StoredTensors } from './stored.js';

/** A matrix held as rows: what every source means, worked out the plain way. */
type Matrix = number[][];

function oracle(source: WeightSource, stored: StoredTensors): Matrix {
  const inner = (each: WeightSource) => oracle(each, stored);
  if (typeof source === 'string' || 'tied' in source) {
    const { logical, values } = stored.tensors.get(typeof source === 'string' ? source : source.tied)!;
    const { rows, cols } = logical.source;
    return Array.from({ length: rows }, (_, row) => [...values.subarray(row * cols, (row + 1) * cols)]);
  }
  if ('rotary' in source) {
    const { inverse_frequencies, positions, part, attention_factor } = source.rotary;
    return Array.from({ length: positions }, (_, position) =>
      inverse_frequencies.map((frequency) => {
        const angle = Math.fround(Math.fround(frequency) * Math.fround(position));
        const value = Math.fround(part === 'cos' ? Math.cos(angle) : Math.sin(angle));
        return Math.fround(value * Math.fround(attention_factor));
      }),
    );
  }
  if ('concat' in source) return source.concat.flatMap(inner);
  if ('interleaveRows' in source) {
    const parts = source.interleaveRows.map(inner);
    return parts[0].flatMap((_, row) => parts.map((part) => part[row]));
  }
  if ('rows' in source) {
    const whole = inner(source.rows);
    const picked: Matrix = [];
    for (let block = 0; block < (source.count ?? 1); block++) {
      const start = source.from + block * (source.stride ?? source.to - source.from);
      picked.push(...whole.slice(start, start + source.to - source.from));
    }
    return picked;
  }
  if ('permuteRows' in source) {
    const whole = inner(source.permuteRows);
    return source.order.map((row) => whole[row]);
  }
  if ('transpose' in source) {
    const whole = inner(source.transpose);
    return whole[0].map((_, column) => whole.map((row) => row[column]));
  }
  return inner(source.plus).map((row) => row.map((value) => Math.fround(value + Math.fround(source.constant))));
}

const shape = fc.record({ rows: fc.integer({ min: 1, max: 9 }), cols: fc.integer({ min: 1, max: 6 }) });
const dtypes: Dtype[] = ['BF16', 'F16', 'F32', 'F64', 'F8_E4M3', 'F8_E5M2'];

/** A source of this size over tensors that are added to `stored` as needed, drawn from a stream of numbers below 1. */
function drawSource(
  rows: number,
  cols: number,
  depth: number,
  next: () => number,
  stored: StoredTensors,
): WeightSource {
  const pick = (limit: number) => Math.floor(next() * limit);
  const draw = (r: number, c: number) => drawSource(r, c, depth - 1, next, stored);
  const kind = depth === 0 ? 0 : pick(9);
  if (kind === 1 && rows > 1) {
    const first = 1 + pick(rows - 1);
    return { concat: [draw(first, cols), draw(rows - first, cols)] };
  }
  if (kind === 2 && rows % 2 === 0) return { interleaveRows: [draw(rows / 2, cols), draw(rows / 2, cols)] };
  if (kind === 3) {
    const order = Array.from({ length: rows }, (_, row) => row);
    for (let i = rows - 1; i > 0; i--) {
      const j = pick(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return { permuteRows: draw(rows, cols), order };
  }
  if (kind === 4) return { transpose: draw(cols, rows) };
  if (kind === 5) return { plus: draw(rows, cols), constant: next() };
  if (kind === 6) {
    const from = pick(3);
    return { rows: draw(from + rows + pick(3), cols), from, to: from + rows };
  }
  if (kind === 7 && rows % 3 === 0) {
    const block = rows / 3;
    const stride = block + pick(3);
    const from = pick(2);
    return { rows: draw(from + 2 * stride + block + pick(2), cols), from, to: from + block, stride, count: 3 };
  }
  if (kind === 8) {
    const table: RotaryTable = {
      inverse_frequencies: Array.from({ length: cols }, next),
      attention_factor: 1 + next(),
      positions: rows,
      part: next() < 0.5 ? 'cos' : 'sin',
    };
    return { rotary: table };
  }
  const name = `t${stored.tensors.size}`;
  const dtype = next() < 0.6 ? 'BF16' : dtypes[pick(dtypes.length)];
  stored.add(name, dtype, [rows, cols], randomBytes(dtype, rows * cols, stored.tensors.size + 1));
  return next() < 0.2 ? { tied: name } : name;
}

test('every form of source reads what its definition says, in any slices', async () => {
  await fc.assert(
    fc.asyncProperty(
      shape,
      fc.integer({ min: 0, max: 3 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999999, noNaN: true })),
      fc.integer({ min: 1, max: 5 }),
      async ({ rows, cols }, depth, stream, step) => {
        const stored = new StoredTensors();
        try {
          const source = drawSource(rows, cols, depth, () => stream.next().value, stored);
          const expected = oracle(source, stored);
          const resolved = resolveSource(source, stored.lookup);
          assert.equal([resolved.rows, resolved.cols], [expected.length, expected[0].length]);
          const files = new InputFiles();
          const reader = await openRows(resolved, files);
          for (let from = 0; from < rows; from += step) {
            const count = Math.min(step, rows - from);
            const out = new Float32Array(count * cols).fill(Number.NaN);
            reader.readFloat32(from, count, out);
            assert.equal([...out], expected.slice(from, from + count).flat());
          }
          files.close();
        } finally {
          stored.close();
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('sources that only move rows of one dtype are read as stored bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      shape,
      fc.infiniteStream(fc.double({ min: 0, max: 0.999999, noNaN: true })),
      async ({ rows, cols }, stream) => {
        const stored = new StoredTensors();
        try {
          const source = resolveSource(
            drawSource(rows, cols, 3, () => stream.next().value, stored),
            stored.lookup,
          );
          const dtype = storedDtype(source);
          fc.pre(dtype === 'F32' || dtype === 'BF16');
          const files = new InputFiles();
          const itemBytes = dtype === 'F32' ? 4 : 2;
          const bytes = new Uint8Array(rows * cols * itemBytes);
          let at = 0;
          let ranges = 0;
          forEachStoredRange(source, 0, rows, ({ file, offset, nbytes }) => {
            files.read(file, offset, bytes.subarray(at, at + nbytes));
            at += nbytes;
            ranges++;
          });
          assert.is(at, bytes.length);
          assert.ok(ranges <= rows);
          const floats = new Float32Array(rows * cols);
          const reader = await openRows(source, files);
          reader.readFloat32(0, rows, floats);
          const codes = dtype === 'F32' ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
          const bits = Uint32Array.from(codes, (code) => (dtype === 'F32' ? code : code << 16));
          assert.equal([...new Float32Array(bits.buffer)], [...floats]);
          files.close();
        } finally {
          stored.close();
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('wide matrices are read in tiles: transposed, permuted and interleaved ones too', async () => {
  const stored = new StoredTensors();
  const [rows, cols] = [96, 20000];
  stored.add('a', 'BF16', [rows, cols], randomBytes('BF16', rows * cols, 1));
  stored.add('b', 'F8_E4M3', [rows, cols], randomBytes('F8_E4M3', rows * cols, 2));
  const order = Array.from({ length: rows }, (_, row) => (row * 7) % rows);
  order.sort((x, y) => ((x * 5) % rows) - ((y * 5) % rows));
  const sources: WeightSource[] = [
    { transpose: 'a' },
    { transpose: { plus: 'a', constant: 1 } },
    { interleaveRows: ['a', 'b', 'a'] },
    { permuteRows: { concat: ['b'] }, order: order.toReversed() },
  ];
  const files = new InputFiles();
  for (const source of sources) {
    const expected = oracle(source, stored);
    const reader = await openRows(resolveSource(source, stored.lookup), files);
    const out = new Float32Array(reader.rows * reader.cols);
    const half = Math.floor(reader.rows / 2) - 3;
    reader.readFloat32(0, half, out);
    reader.readFloat32(half, reader.rows - half, out.subarray(half * reader.cols));
    const wrong = expected.findIndex((row, i) => row.some((value, j) => value !== out[i * reader.cols + j]));
    assert.is(wrong, -1, JSON.stringify(source));
    assert.ok(reader.scratchBytes(64) < 8 << 20, 'a few tiles');
  }
  files.close();
  stored.close();
});

test('a file that was truncated or removed since planning is named', async () => {
  const stored = new StoredTensors();
  stored.add('a', 'F32', [4, 4], randomBytes('F32', 16, 1));
  const source = resolveSource('a', stored.lookup);
  const read = async () => {
    const reader = await openRows(source);
    try {
      reader.readFloat32(0, 4, new Float32Array(16));
    } finally {
      reader.close();
    }
  };
  await read();
  truncateSync(stored.file, 30);
  const failure = async () => {
    try {
      await read();
    } catch (error) {
      return error as Error;
    }
    return undefined;
  };
  const short = await failure();
  assert.instance(short, InvalidInputError);
  assert.match(short!.message, /weights\.bin: ends at byte 30; bytes 8 to 72 were planned/);
  unlinkSync(stored.file);
  const gone = await failure();
  assert.instance(gone, EnvironmentError);
  assert.match(gone!.message, /weights\.bin: the file has vanished/);
  stored.close();
});

test.run();
