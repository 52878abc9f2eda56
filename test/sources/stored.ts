import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DTYPE_BITS, type Dtype, widen } from '../../src/core/dtype.js';
import type { LogicalTensor } from '../../src/core/weights.js';

/** A tensor of a test: its values as float32, what `widen` makes of the stored bytes. */
export interface Stored {
  logical: LogicalTensor;
  values: Float32Array;
}

/** A directory with one file of tensors after each other; removed by `close`. */
export class StoredTensors {
  readonly dir = mkdtempSync(join(tmpdir(), 'halfbyte-test-'));
  readonly file = join(this.dir, 'weights.bin');
  readonly tensors = new Map<string, Stored>();
  #bytes = Buffer.alloc(8);

  add(name: string, dtype: Dtype, shape: number[], bytes: Uint8Array): Stored {
    const offset = this.#bytes.length;
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    writeFileSync(this.file, this.#bytes);
    const cols = shape[shape.length - 1] ?? 1;
    const count = shape.reduce((product, each) => product * each, 1);
    const rows = cols === 0 ? 0 : count / cols;
    const values = new Float32Array(count);
    widen(dtype, bytes, values);
    const ref = { name, dtype, shape, file: this.file, offset, nbytes: bytes.length };
    const stored = { logical: { name, shape, source: { kind: 'tensor' as const, ref, rows, cols } }, values };
    this.tensors.set(name, stored);
    return stored;
  }

  readonly lookup = (name: string): LogicalTensor | undefined => this.tensors.get(name)?.logical;

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Finite stored floats of a dtype from seeded noise, about N(0, 0.02) with some zeros and large values among them. */
export function randomBytes(dtype: Dtype, count: number, seed: number): Uint8Array {
  const next = noise(seed);
  const bytes = new Uint8Array((count * DTYPE_BITS[dtype]) / 8);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const value = (next() + next() + next() - 1.5) * (next() < 0.02 ? 40 : 0.04);
    if (dtype === 'F32') view.setFloat32(4 * i, value, true);
    else if (dtype === 'F64') view.setFloat64(8 * i, value, true);
    else if (dtype === 'BF16') {
      view.setUint16(2 * i, new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16, true);
    } else if (dtype === 'F16') view.setUint16(2 * i, Math.floor(next() * 0x7bff) | (next() < 0.5 ? 0x8000 : 0), true);
    else bytes[i] = Math.floor(next() * 0x7b) | (next() < 0.5 ? 0x80 : 0);
  }
  return bytes;
}

/** Uniform numbers in [0, 1): xorshift32. */
export function noise(seed: number): () => number {
  let state = seed * 2654435761 + 1 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
