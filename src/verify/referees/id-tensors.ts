import type { TensorEntry } from '../../formats/safetensors-writer.js';

/** Tensor of the ids of a set. */
export const idsTensor = (set: string): string => (set.endsWith('input_ids') ? set : `${set}.input_ids`);

/** Sets of token ids as they are stored: rows of the longest length, filled up with 0. */
export function idTensors(name: string, sequences: number[][]): { entry: TensorEntry; data: Uint8Array }[] {
  const width = Math.max(...sequences.map((each) => each.length));
  const ids = new BigInt64Array(sequences.length * width);
  sequences.forEach((each, row) => {
    for (const [position, id] of each.entries()) ids[row * width + position] = BigInt(id);
  });
  const tensor = idsTensor(name);
  const stored = [
    {
      entry: { name: tensor, dtype: 'I64' as const, shape: [sequences.length, width] },
      data: new Uint8Array(ids.buffer),
    },
  ];
  if (sequences.every((each) => each.length === width)) return stored;
  const lengths = BigInt64Array.from(sequences, (each) => BigInt(each.length));
  const entry = {
    name: `${tensor.slice(0, -'input_ids'.length)}lengths`,
    dtype: 'I64' as const,
    shape: [sequences.length],
  };
  return [...stored, { entry, data: new Uint8Array(lengths.buffer) }];
}
