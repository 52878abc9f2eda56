import type { Layout, StoredValues } from '../../core/layout.js';
import type { LogicalTensor } from '../../core/weights.js';
import type { Tensors } from '../packing/stored-tensors.js';
import type { MlxSettings } from './modes.js';

/** One of mlx's modes, read. */
export interface MlxForm extends Pick<Layout, 'needs' | 'decode'>, Required<Pick<Layout, 'grid' | 'unpack'>> {
  /** `<module>.weight`. `said` is what config.json says of it. Throws InvalidInputError. */
  matrix(module: string, tensors: Tensors, values: StoredValues, said: MlxSettings): LogicalTensor;
}
