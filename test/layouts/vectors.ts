import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import type { FileRange, TensorRef } from '../../src/core/checkpoint.js';
import type { Dressing } from '../../src/core/dressing.js';
import type { Dtype } from '../../src/core/dtype.js';
import type { JsonObject } from '../../src/core/json.js';
import type { Layout, StoredValues } from '../../src/core/layout.js';
import type { Packed, QuantizationArgs } from '../../src/core/scheme.js';
import type { LogicalTensor, PackedSource } from '../../src/core/weights.js';
import { find } from '../../src/registry.js';
import { geometry, setCode, writeScale, zeroPointIndex } from '../../src/schemes/arithmetic/integer_scheme.js';

export interface VectorTensor {
  dtype: Dtype;
  shape: number[];
  hex: string;
}

/** A matrix as fixtures/layouts/vectors.py packed it. */
export interface Vector {
  name: string;
  args: QuantizationArgs;
  rows: number;
  cols: number;
  codes: number[];
  scales: number[];
  zero_points: number[];
  values: number[];
  tensors: Record<string, VectorTensor>;
}

/** A matrix of small floats: the parts of its scheme, what they stand for, and the tensors that a layout makes of them. */
export interface FloatVector {
  name: string;
  args: QuantizationArgs;
  rows: number;
  cols: number;
  parts: Record<string, string>;
  values: number[];
  tensors: Record<string, VectorTensor>;
}

export const vectorsOf = <T = Vector>(name: string): T[] =>
  JSON.parse(readFileSync(`fixtures/layouts/${name}.json`, 'utf8'));

export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

/** Tensors whose bytes lie in one buffer instead of a file. */
export class MemoryTensors implements StoredValues {
  readonly refs = new Map<string, TensorRef>();
  readonly notes: string[] = [];
  #bytes = new Uint8Array();

  constructor(tensors: Record<string, VectorTensor>) {
    for (const [name, { dtype, shape, hex }] of Object.entries(tensors)) this.add(name, dtype, shape, bytesOf(hex));
  }

  add(name: string, dtype: Dtype, shape: number[], bytes: Uint8Array): void {
    const ref = { name, dtype, shape, file: 'memory', offset: this.#bytes.length, nbytes: bytes.length };
    this.refs.set(name, ref);
    this.#bytes = Uint8Array.from([...this.#bytes, ...bytes]);
  }

  /** Another tensor in place of one. */
  replace(name: string, change: Partial<TensorRef>): this {
    this.refs.set(name, { ...(this.refs.get(name) as TensorRef), ...change });
    return this;
  }

  read = (range: FileRange): Uint8Array => this.#bytes.slice(range.offset, range.offset + range.nbytes);
  note = (text: string): void => void this.notes.push(text);

  undress(layout: Layout, config: JsonObject): Map<string, LogicalTensor> {
    return layout.undress(this.refs, config, this);
  }

  /** The packed source of a matrix. */
  packed(layout: Layout, config: JsonObject, name = 'm.weight'): PackedSource {
    const source = this.undress(layout, config).get(name)?.source;
    if (source?.kind !== 'packed') throw new Error(`${name} is not packed`);
    return source;
  }

  bytes(layout: Layout, source: PackedSource, from: number, count: number): Packed {
    const needs = Object.entries(layout.needs(source, from, count));
    return Object.fromEntries(
      needs.map(([part, ranges]) => [part, Uint8Array.from(ranges.flatMap((each) => [...this.read(each)]))]),
    );
  }

  /** All values of a source, decoded in runs of `quanta` row quanta. */
  decode(layout: Layout, source: PackedSource, quanta: number): Float32Array {
    const out = new Float32Array(source.rows * source.cols);
    const step = quanta * layout.rowQuantum(source);
    for (let from = 0; from < source.rows; from += step) {
      const count = Math.min(step, source.rows - from);
      const view = out.subarray(from * source.cols, (from + count) * source.cols);
      layout.decode(source, from, count, this.bytes(layout, source, from, count), view);
    }
    return out;
  }

  /** All parts of a source on the grid `args`. */
  async unpack(layout: Layout, source: PackedSource, args: QuantizationArgs): Promise<Packed> {
    const out = await emptyParts(args, source.rows, source.cols);
    layout.unpack?.(source, 0, source.rows, this.bytes(layout, source, 0, source.rows), args, out);
    return out;
  }
}

export async function emptyParts(args: QuantizationArgs, rows: number, cols: number): Promise<Packed> {
  const scheme = (await find('schemes', args.scheme))!;
  const parts = Object.entries(scheme.layout(rows, cols, args));
  return Object.fromEntries(parts.map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
}

/** The parts of int4 or int8 that a vector's codes, scales and zero points make up. */
export async function integerParts({ args, rows, cols, codes, scales, zero_points: zeros }: Vector): Promise<Packed> {
  const bits = args.scheme === 'int4' ? 4 : 8;
  const out = await emptyParts(args, rows, cols);
  const { blocks } = geometry(cols, args);
  if (bits === 4 && args.strategy === 'group') out.zero_points?.fill(0x88);
  for (const [i, code] of codes.entries()) setCode(out.codes, i, code, bits);
  for (const [i, scale] of scales.entries()) {
    writeScale(out.scales, i, scale, args);
    const at = zeroPointIndex(Math.floor(i / blocks), i % blocks, blocks, bits, args);
    if (out.zero_points) setCode(out.zero_points, at, zeros[i], bits);
  }
  return out;
}

/** The tensors that a dressing makes of parts, packed in runs of `count` rows and put together by segments. */
export function dress(
  dressing: Dressing,
  args: QuantizationArgs,
  [rows, cols]: [number, number],
  partsOfRows: (from: number, count: number) => Packed,
  count: number,
): Record<string, VectorTensor> {
  const whole = Object.entries(dressing.parts(rows, cols, args));
  const parts: Packed = Object.fromEntries(whole.map(([part, { nbytes }]) => [part, new Uint8Array(nbytes)]));
  for (let from = 0; from < rows; from += count) {
    const taken = Math.min(count, rows - from);
    const sizes = dressing.parts(taken, cols, args);
    const before = dressing.parts(from, cols, args);
    const out: Packed = Object.fromEntries(
      Object.entries(sizes).map(([part, { nbytes }]) => [part, new Uint8Array(nbytes).fill(0xee)]),
    );
    dressing.pack(partsOfRows(from, taken), taken, cols, args, out);
    for (const [part, { nbytes, segments = 1, fixed }] of whole) {
      for (let segment = 0; segment < segments; segment++) {
        const length = sizes[part].nbytes / segments;
        const at = fixed ? 0 : (segment * nbytes + before[part].nbytes) / segments;
        parts[part].set(out[part].subarray(segment * length, (segment + 1) * length), at);
      }
    }
  }
  const tensors = dressing.tensors({ name: 'm.weight', rows, cols, kind: 'linear' }, args);
  return Object.fromEntries(
    tensors.map(({ name, dtype, shape, content }) => {
      const bytes = 'part' in content ? parts[content.part] : Uint8Array.from(content.bytes);
      return [name, { dtype, shape, hex: Buffer.from(bytes).toString('hex') }];
    }),
  );
}

/** The tensors that a dressing makes of an integer vector's parts in runs of `count` rows. */
export async function dressIntegers(dressing: Dressing, vector: Vector, count: number) {
  const runs = new Map<number, Packed>();
  for (let from = 0; from < vector.rows; from += count) {
    runs.set(from, await integerParts(vectorRows(vector, from, Math.min(count, vector.rows - from))));
  }
  const { args, rows, cols } = vector;
  return dress(dressing, args, [rows, cols], (from) => runs.get(from) as Packed, count);
}

/** The parts of a float vector's rows [from, from + count), cut where their scheme cuts them. */
async function floatParts({ args, cols, parts }: FloatVector, from: number, count: number): Promise<Packed> {
  const scheme = (await find('schemes', args.scheme))!;
  const [before, until] = [from, from + count].map((rows) => scheme.layout(rows, cols, args));
  return Object.fromEntries(
    Object.entries(parts).map(([part, hex]) => {
      const start = until[part].fixed || from === 0 ? 0 : before[part].nbytes;
      return [part, bytesOf(hex).subarray(start, until[part].nbytes)];
    }),
  );
}

/** The tensors that a dressing makes of a float vector's parts in runs of `count` rows. */
export async function dressFloats(dressing: Dressing, vector: FloatVector, count: number) {
  const { args, rows, cols } = vector;
  const runs = new Map<number, Packed>();
  for (let from = 0; from < rows; from += count) {
    runs.set(from, await floatParts(vector, from, Math.min(count, rows - from)));
  }
  return dress(dressing, args, [rows, cols], (from) => runs.get(from) as Packed, count);
}

/** Holds a layout to a float vector: values, grid, parts, and the tensors that it writes in runs of rows. */
export async function holdFloats(
  layout: Layout,
  config: JsonObject,
  vector: FloatVector,
  runs: { quanta: number[]; counts: number[] },
): Promise<void> {
  const memory = new MemoryTensors(vector.tensors);
  const source = memory.packed(layout, config);
  assert.equal([source.rows, source.cols], [vector.rows, vector.cols]);
  for (const quanta of runs.quanta) equalFloats(memory.decode(layout, source, quanta), vector.values);
  assert.equal(sorted(layout.grid?.(source)), sorted(vector.args));
  const parts = await memory.unpack(layout, source, vector.args);
  for (const [part, hex] of Object.entries(vector.parts)) {
    assert.is(Buffer.from(parts[part]).toString('hex'), hex, part);
  }
  const { dressing } = layout;
  if (!dressing || runs.counts.length === 0) return;
  dressing.check(vector.args, '--weights');
  for (const count of runs.counts) assert.equal(await dressFloats(dressing, vector, count), vector.tensors);
}

const sorted = (args: object | undefined) => args && Object.fromEntries(Object.entries(args).sort());

/** Holds a layout to an integer vector likewise. */
export async function holdIntegers(
  layout: Layout,
  config: JsonObject,
  vector: Vector,
  runs: { quanta: number[]; counts: number[] },
): Promise<MemoryTensors> {
  const memory = new MemoryTensors(vector.tensors);
  const source = memory.packed(layout, config);
  assert.equal([source.rows, source.cols], [vector.rows, vector.cols]);
  for (const quanta of runs.quanta) equalFloats(memory.decode(layout, source, quanta), vector.values);
  assert.equal(sorted(layout.grid?.(source)), sorted(vector.args));
  assert.equal(await memory.unpack(layout, source, vector.args), await integerParts(vector));
  const { dressing } = layout;
  if (!dressing || runs.counts.length === 0) return memory;
  dressing.check(vector.args, '--weights');
  assert.ok(
    dressing.quantizes({ name: 'm.weight', rows: vector.rows, cols: vector.cols, kind: 'linear' }, vector.args),
  );
  for (const count of runs.counts) assert.equal(await dressIntegers(dressing, vector, count), vector.tensors);
  return memory;
}

/** Rows of an integer vector as a vector of its own. */
function vectorRows(vector: Vector, from: number, count: number): Vector {
  const groups = vector.scales.length / vector.rows;
  const cut = (values: number[], width: number) => values.slice(from * width, (from + count) * width);
  return {
    ...vector,
    rows: count,
    codes: cut(vector.codes, vector.cols),
    values: cut(vector.values, vector.cols),
    scales: cut(vector.scales, groups),
    zero_points: cut(vector.zero_points, groups),
  };
}

export const equalFloats = (got: Float32Array, want: number[]): void => {
  assert.equal([...got], [...Float32Array.from(want)]);
};
