/** Float32 logits held of one run at a time: 160 MB. */
const BATCH_VALUES = 40 << 20;

/** A run of neighbouring sequences whose logits fit in memory together. */
export interface Batch {
  from: number;
  sequences: number[][];
  /** First token of each sequence, counted from the batch's begin. */
  starts: number[];
}

/** Splits sequences into batches; one sequence alone may be larger than a batch should be. */
export function batchesOf(sequences: number[][], vocabulary: number): Batch[] {
  const batches: Batch[] = [];
  let values = 0;
  sequences.forEach((sequence, index) => {
    const size = sequence.length * vocabulary;
    if (batches.length === 0 || values + size > BATCH_VALUES) {
      batches.push({ from: index, sequences: [], starts: [] });
      values = 0;
    }
    const batch = batches[batches.length - 1];
    batch.starts.push(values / vocabulary);
    batch.sequences.push(sequence);
    values += size;
  });
  return batches;
}

/** Every token of a batch with its place in the set, sequences end to end. */
export function tokensOf({ sequences, starts }: Batch, start: number) {
  return sequences.flatMap((ids, sequence) =>
    ids.map((_, position) => ({ ids, position, token: start + starts[sequence] + position })),
  );
}
