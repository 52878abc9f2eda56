import { readFileSync } from 'node:fs';

export interface GoldenTensor {
  shape: number[];
  data: Float32Array | number[];
}

/** Reads a golden.safetensors: F32 as floats, I64 as numbers. Apart from src on purpose: goldens judge its readers too. */
export function readGolden(file: string): Map<string, GoldenTensor> {
  const bytes = readFileSync(file);
  const headerSize = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerSize));
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries<Record<string, never>>(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = data_offsets as unknown as [number, number];
    const data = Uint8Array.from(bytes.subarray(8 + headerSize + from, 8 + headerSize + to)).buffer;
    if (dtype === 'F32') tensors.set(name, { shape, data: new Float32Array(data) });
    if (dtype === 'I64') tensors.set(name, { shape, data: Array.from(new BigInt64Array(data), Number) });
  }
  return tensors;
}

/** A golden matrix of ids as rows. */
export function rowsOf({ shape, data }: GoldenTensor): number[][] {
  const width = shape.at(-1) as number;
  const ids = data as number[];
  return Array.from({ length: ids.length / width }, (_, row) => ids.slice(row * width, (row + 1) * width));
}
