import type { EvaluationOptions } from '../../reference/evaluate.js';
import type { Engine } from '../referees/engine-on-weights.js';
import type { SavedReference } from '../referees/saved-reference.js';
import type { Batch } from '../tokens/batches.js';
import type { TokenSet } from '../tokens/token-set.js';
import type { HiddenStates } from './hidden-states.js';

/** The engine on the reference's weights over a batch; what it says is kept where it is being saved. */
export async function runReference(
  { hidden, saved }: { hidden: { reference: HiddenStates }; saved: SavedReference | null },
  reference: Engine,
  set: Pick<TokenSet, 'name'>,
  batch: Batch,
  take: (sequence: number, position: number, row: Float32Array) => void,
): Promise<void> {
  await reference.run(batch.sequences, {
    ...keeping(hidden.reference, batch),
    onLogits: (sequence, position, row) => {
      take(sequence, position, row);
      saved?.add(set.name, batch.from + sequence, position, row);
    },
  });
}

/** Keeps the hidden states of the first batch of all. */
export function keeping(hidden: HiddenStates, { sequences }: Batch): EvaluationOptions {
  if (hidden.tokens > 0) return {};
  const [{ length }] = sequences;
  return { onHidden: (index, values, width) => hidden.keep(index, values, width, length) };
}
