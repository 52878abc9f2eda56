import type { Layout, StoredValues } from '../../core/layout.js';
import type { LogicalTensor } from '../../core/weights.js';
import type { Tensors } from '../packing/stored-tensors.js';

/** One of mlx's modes, read. */
export interface MlxForm extends Pick<Layout, 'needs' | 'decode'>, Required<Pick<Layout, 'grid' | 'unpack'>> {
  /** `<module>.weight`. `bits` is what config.json says. Throws InvalidInputError. */
  matrix(module: string, tensors: Tensors, values: StoredValues, bits: number | undefined): LogicalTensor;
}
