import type { TensorError } from '../../core/verify-report.js';
import type { LogicalTensor } from '../../core/weights.js';
import type { CheckpointPlace } from '../subject/checkpoint-place.js';
import { schemeOf } from '../subject/tensor-scheme.js';

/**
 * Whether a checkpoint's weights are those that it was made of, number for number: as compared with them, else as its
 * halfbyte.json says, else where it holds floats alone, which nobody is known to have rounded.
 */
export async function keepsNumbers(
  own: ReadonlyMap<string, LogicalTensor>,
  manifest: CheckpointPlace['manifest'],
  compared: TensorError[] | null,
): Promise<boolean> {
  if (compared) return compared.length > 0 && compared.every(({ maxAbsDifference }) => maxAbsDifference === 0);
  if (manifest?.tensors) {
    return manifest.tensors.every(({ errors, fate, scheme }) =>
      errors ? errors.exact : fate === 'keeps' || scheme.scheme === 'f32',
    );
  }
  for (const tensor of own.values()) if (!FLOATS.includes((await schemeOf(tensor)).scheme)) return false;
  return true;
}

const FLOATS = ['f32', 'f16', 'bf16'];
