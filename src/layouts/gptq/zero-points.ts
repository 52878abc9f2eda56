import type { TensorRef } from '../../core/checkpoint.js';
import type { StoredValues } from '../../core/layout.js';
import type { LogicalTensor, PackedSource } from '../../core/weights.js';
import { repeated, wordsOf } from '../packing/words.js';

/** `checkpoint_format` of the two versions: zero points less one, and zero points as they are. */
export type GptqFormat = 'gptq' | 'gptq_v2';

/** Bytes of codes looked at where zero points differ. */
const SAMPLE_BYTES = 1 << 18;

/**
 * Finds how zero points are stored by looking at them, as config.json is wrong in real checkpoints. Those of symmetric
 * weights are all 8 as they are and 7 less one. Others are compared with the codes: weights have a mean near zero, so
 * that codes and true zero points have the same mean, within a fraction of a step.
 */
export function settleZeroPoints(matrices: LogicalTensor[], format: GptqFormat, values: StoredValues): void {
  const declared = format === 'gptq' ? 1 : 0;
  const asymmetric: PackedSource[] = [];
  const mislabelled: string[] = [];
  const settle = (source: PackedSource, offset: 0 | 1) => {
    source.parameters.zero_offset = offset;
    if (offset !== declared) mislabelled.push(source.name);
  };
  for (const { source } of matrices) {
    if (source.kind !== 'packed') continue;
    const bits = source.parameters.bits as 4 | 8;
    const middle = 2 ** (bits - 1);
    const words = wordsOf(values.read(source.parts.zero_points));
    const offset = ([0, 1] as const).find((each) => words.every((word) => word === repeated(middle - each, bits)));
    source.parameters.symmetric = offset !== undefined;
    if (offset === undefined) asymmetric.push(source);
    else settle(source, offset);
  }
  const distances = asymmetric.map((source) => meanDistance(source, values)).sort((a, b) => a - b);
  const median = distances[distances.length >> 1];
  const isClear = median !== undefined && Math.abs(median - (1 - declared)) < 0.25;
  for (const source of asymmetric) settle(source, isClear ? (declared ? 0 : 1) : declared);
  if (mislabelled.length > 0) {
    values.note(
      `quantization_config.checkpoint_format says "${format}", zero points ${declared ? 'less one' : 'as they are'}; ` +
        `those of ${mislabelled.length} of ${matrices.length} matrices ("${mislabelled[0]}") are stored ` +
        `${declared ? 'as they are' : 'less one'} and are read so.`,
    );
  }
}

/** Mean of codes less the mean of stored zero points: near 0 where these are stored as they are, near 1 where less one. */
function meanDistance({ parts, parameters }: PackedSource, values: StoredValues): number {
  const bits = parameters.bits as 4 | 8;
  const start = (ref: TensorRef) => ({ ...ref, nbytes: Math.min(ref.nbytes, SAMPLE_BYTES) });
  const mean = (ref: TensorRef) => meanCode(wordsOf(values.read(start(ref))), bits);
  return mean(parts.codes) - mean(parts.zero_points);
}

function meanCode(words: Uint32Array, bits: 4 | 8): number {
  const mask = 2 ** bits - 1;
  let sum = 0;
  for (const word of words) for (let shift = 0; shift < 32; shift += bits) sum += (word >>> shift) & mask;
  return sum / ((words.length * 32) / bits);
}
