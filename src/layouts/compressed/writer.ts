import type { Dressing, NamedMatrix } from '../../core/dressing.js';
import type { JsonObject } from '../../core/json.js';
import type { QuantizationArgs } from '../../core/scheme.js';

/** One of compressed-tensors' formats, written. */
export interface CompressedWriter
  extends Pick<Dressing, 'check' | 'quantizes' | 'sharedScale' | 'rowQuantum' | 'parts' | 'pack' | 'tensors'> {
  /** Name of the format in quantization_config. */
  format: string;
  /** Settings of weights and of activations in compressed-tensors' own words. */
  weights(args: QuantizationArgs): JsonObject;
  activations(args: QuantizationArgs): JsonObject | null;
}

/** The module of a matrix: its name without `.weight`. */
export const moduleOf = ({ name }: NamedMatrix): string => name.replace(/\.weight$/, '');

/** QuantizationArgs of compressed-tensors with the keys that all its versions have. */
export const quantizationArgs = (given: JsonObject): JsonObject => ({
  num_bits: 8,
  type: 'float',
  strategy: 'channel',
  symmetric: true,
  dynamic: false,
  group_size: null,
  block_structure: null,
  actorder: null,
  observer: given.dynamic ? null : 'minmax',
  observer_kwargs: {},
  ...given,
});
