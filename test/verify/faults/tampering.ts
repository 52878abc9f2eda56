import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileRange } from '../../../src/core/checkpoint.js';
import { widen } from '../../../src/core/dtype.js';
import type { Graph } from '../../../src/core/graph.js';
import type { JsonObject } from '../../../src/core/json.js';
import { digestOfFile } from '../../../src/engine/digest.js';
import { openCheckpoint } from '../../../src/formats/checkpoint.js';
import type { Manifest, ManifestTensor } from '../../../src/formats/manifest.js';
import { encodeModel } from '../../../src/formats/onnx.js';
import { readModel } from '../../../src/formats/onnx-reader.js';
import { readTensor } from '../../../src/formats/safetensors.js';
import { writeSafetensors } from '../../../src/formats/safetensors-writer.js';

/** Values of a checkpoint's tensors by name, to be changed in place or replaced. */
export type Tensors = Map<string, { shape: number[]; values: Float32Array }>;

/** Writes a copy of a checkpoint in float32 with changed tensors or config. */
export function copyCheckpoint(
  from: string,
  to: string,
  change: (tensors: Tensors, config: JsonObject) => void,
  { golden = true } = {},
): string {
  const { tensors: stored, config, companions } = openCheckpoint(from);
  const tensors: Tensors = new Map();
  for (const ref of stored.values()) {
    const values = new Float32Array(ref.shape.reduce((product, each) => product * each, 1));
    widen(ref.dtype, readTensor(ref), values);
    tensors.set(ref.name, { shape: ref.shape, values });
  }
  const changed = structuredClone(config);
  change(tensors, changed);
  mkdirSync(to, { recursive: true });
  const entries = [...tensors].map(([name, { shape, values }]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: new Uint8Array(values.buffer),
  }));
  writeSafetensors(join(to, 'model.safetensors'), entries);
  writeFileSync(join(to, 'config.json'), JSON.stringify(changed));
  for (const name of companions) cpSync(join(from, name), join(to, name));
  const answer = join(from, 'golden.safetensors');
  if (golden && existsSync(answer)) cpSync(answer, join(to, 'golden.safetensors'));
  return to;
}

/** Exchanges two tensors of one shape. */
export function swap(tensors: Tensors, a: string, b: string): void {
  const [first, second] = [tensors.get(a), tensors.get(b)];
  if (!first || !second || `${first.shape}` !== `${second.shape}`) throw new Error(`${a} and ${b} are not alike`);
  tensors.set(a, second).set(b, first);
}

export function valuesOf(tensors: Tensors, name: string): Float32Array {
  const found = tensors.get(name);
  if (!found) throw new Error(`no tensor ${name}`);
  return found.values;
}

/** A package that is changed in place; `seal` makes its digests right again, as a faulty converter would write them. */
export class PackageUnderChange {
  constructor(readonly dir: string) {}

  get manifest(): Manifest {
    return JSON.parse(readFileSync(join(this.dir, 'halfbyte.json'), 'utf8'));
  }

  tensor(name: string): ManifestTensor {
    return this.manifest.tensors['model.onnx'][name];
  }

  /** Changes the bytes of a part of a tensor. */
  bytes(range: FileRange, change: (bytes: Uint8Array) => void): void {
    const file = join(this.dir, range.file);
    const whole = readFileSync(file);
    change(whole.subarray(range.offset, range.offset + range.nbytes));
    writeFileSync(file, whole);
  }

  json<T>(name: string, change: (content: T) => void): void {
    const file = join(this.dir, name);
    const content = JSON.parse(readFileSync(file, 'utf8'));
    change(content);
    writeFileSync(file, JSON.stringify(content, null, 2));
  }

  /** Changes the graph; `external` may be changed as well. */
  graph(change: (graph: Graph, external: Record<string, FileRange>) => void, name = 'model.onnx'): void {
    const file = join(this.dir, name);
    const { graph, external } = readModel(file);
    for (const each of graph.initializers) {
      if (each.name in external) each.content = { weight: each.name, part: '' };
    }
    change(graph, external);
    writeFileSync(file, encodeModel(graph, external, '0'));
  }

  async seal(): Promise<void> {
    const { manifest } = this;
    for (const file of manifest.files) {
      const path = join(this.dir, file.name);
      if (!existsSync(path)) continue;
      file.size = readFileSync(path).byteLength;
      if (file.chunks.length === 1) file.chunks[0].nbytes = file.size;
      for (const chunk of file.chunks) {
        if ((chunk.segments ?? 1) === 1) chunk.digest = await digestOfFile(path, chunk.offset, chunk.nbytes);
      }
    }
    writeFileSync(join(this.dir, 'halfbyte.json'), JSON.stringify(manifest));
  }
}
