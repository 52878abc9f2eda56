import { ENDS } from '../blocks/decoder.js';
import type { Checkpoint, TensorRef } from '../core/checkpoint.js';
import { architectureName, decoderPlace } from '../core/decoder-names.js';
import { InputFiles } from '../sources/input-files.js';

/** Bytes of each table that are compared at a time. */
const STEP = 1 << 20;

/**
 * Whether a checkpoint stores a head that is not its embedding table. transformers 5 compares the two where config.json
 * ties them, and keeps them apart where they differ. Reads both up to the first difference.
 */
export function storesOwnHead({ tensors }: Checkpoint): boolean {
  const place = decoderPlace(tensors.keys());
  const names = new Map([...tensors].map(([name, ref]) => [architectureName(name, place), ref]));
  const [table, head] = [names.get(ENDS.embedding), names.get(ENDS.head)];
  const parts = [...names.keys()].filter((name) => name.startsWith('lm_head.'));
  // a head alone is the table of both
  const hasTable = [...names.keys()].some((name) => name.startsWith('model.embed_tokens.'));
  if (parts.length === 0 || !hasTable) return false;
  if (!table || !head || parts.length > 1) return true;
  return table.dtype !== head.dtype || !sameShape(table, head) || !sameBytes(table, head);
}

/**
 * A checkpoint whose config.json says what its head is: false for `tie_word_embeddings` where a head of its own is stored.
 * `note` hears that config.json says otherwise.
 */
export function withOwnHead(checkpoint: Checkpoint, note?: (text: string) => void): Checkpoint {
  const { tie_word_embeddings: tied } = checkpoint.config;
  if (tied === false || !storesOwnHead(checkpoint)) return checkpoint;
  if (tied === true) note?.(OWN_HEAD);
  return { ...checkpoint, config: { ...checkpoint.config, tie_word_embeddings: false } };
}

/** What is said of a head that config.json ties. */
export const OWN_HEAD =
  'config.json: the head is tied to the embedding table, but the stored lm_head.weight differs from it: the stored head is ' +
  'taken, as transformers 5 does.';

const sameShape = (a: TensorRef, b: TensorRef) => JSON.stringify(a.shape) === JSON.stringify(b.shape);

function sameBytes(a: TensorRef, b: TensorRef): boolean {
  const files = new InputFiles();
  const [left, right] = [Buffer.alloc(Math.min(STEP, a.nbytes)), Buffer.alloc(Math.min(STEP, a.nbytes))];
  try {
    for (let from = 0; from < a.nbytes; from += STEP) {
      const count = Math.min(STEP, a.nbytes - from);
      files.read(a.file, a.offset + from, left.subarray(0, count));
      files.read(b.file, b.offset + from, right.subarray(0, count));
      if (left.compare(right, 0, count, 0, count) !== 0) return false;
    }
    return true;
  } finally {
    files.close();
  }
}
