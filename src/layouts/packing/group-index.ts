import type { TensorRef } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import type { StoredValues } from '../../core/layout.js';

/** The group of each column of a stored index. */
export const groupIndex = (bytes: Uint8Array): Int32Array => new Int32Array(bytes.slice().buffer);

/**
 * Whether columns lie in their groups out of order, as where quantization took them by their activations. An index
 * of -1 throughout is one that was never filled. Throws InvalidInputError for a group that does not exist.
 */
export function isPermuted(ref: TensorRef, groupSize: number, groups: number, values: StoredValues): boolean {
  const index = groupIndex(values.read(ref));
  if (index.every((group) => group === -1)) return false;
  const outside = index.findIndex((group) => group < 0 || group >= groups);
  if (outside >= 0) {
    throw new InvalidInputError(
      `${ref.file}: tensor "${ref.name}" puts column ${outside} into group ${index[outside]} of ${groups}.`,
      'download this shard again.',
    );
  }
  return index.some((group, column) => group !== Math.floor(column / groupSize));
}
