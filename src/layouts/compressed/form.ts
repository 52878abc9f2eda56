import type { Layout, StoredValues } from '../../core/layout.js';
import type { LogicalTensor } from '../../core/weights.js';
import type { Tensors } from '../packing/stored-tensors.js';

/** Sizes that the config_groups of config.json speak of. */
export interface ConfiguredSizes {
  groups: number[];
  blocks: [number, number][];
  /** Every group has zero points. */
  isAsymmetric: boolean;
}

/** One of compressed-tensors' formats, read: how the tensors of a module make up its weight. */
export interface CompressedForm extends Pick<Layout, 'rowQuantum' | 'needs' | 'decode' | 'grid' | 'unpack'> {
  /** `<module>.weight`. Throws InvalidInputError. */
  matrix(module: string, tensors: Tensors, values: StoredValues, sizes: ConfiguredSizes): LogicalTensor;
}
