import type { TensorRef } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import type { JsonObject } from '../../core/json.js';
import type { StoredValues } from '../../core/layout.js';
import type { Tensors } from '../packing/stored-tensors.js';

/** What bitsandbytes keeps of a quantized tensor besides its bytes, as JSON in a tensor of its own. */
export interface QuantState {
  quant_type: 'nf4' | 'fp4';
  blocksize: number;
  shape: [number, number];
  /** Set where the scales are quantized too. */
  nested?: { blocksize: number; offset: number };
}

const TYPES = ['nf4', 'fp4'] as const;

/** Endings of the tensors that hold it. */
export const STATE_ENDINGS = TYPES.map((type) => `.quant_state.bitsandbytes__${type}`);

/** The tensor that holds the state of "<name>", undefined where it is not quantized. */
export const stateRef = (name: string, tensors: Tensors): TensorRef | undefined =>
  STATE_ENDINGS.map((ending) => tensors.get(name + ending)).find((each) => each);

/** Reads a state (QuantState.as_dict and pack_dict_to_tensor of bitsandbytes). Throws InvalidInputError. */
export function readQuantState(ref: TensorRef, values: StoredValues): QuantState {
  const refuse = (found: string) => {
    throw new InvalidInputError(
      `${ref.file}: tensor "${ref.name}" ${found}; it needs JSON with quant_type, blocksize and a shape of two sizes.`,
      'save the model again with a current bitsandbytes, or download this shard again.',
    );
  };
  let state: JsonObject = {};
  try {
    state = JSON.parse(new TextDecoder().decode(values.read(ref)));
  } catch {
    refuse('is no JSON');
  }
  const { blocksize, shape, nested_blocksize: nested, nested_offset: offset } = state;
  const isSize = (each: unknown): each is number => Number.isSafeInteger(each) && (each as number) > 0;
  const type = TYPES.find((each) => each === state.quant_type);
  if (!type || !isSize(blocksize) || !Array.isArray(shape) || shape.length !== 2 || !shape.every(isSize)) {
    return refuse(`says ${JSON.stringify(state).slice(0, 200)}`);
  }
  if (nested !== undefined && (!isSize(nested) || typeof offset !== 'number')) {
    return refuse(`says nested_blocksize ${JSON.stringify(nested)} and nested_offset ${JSON.stringify(offset)}`);
  }
  return {
    quant_type: type,
    blocksize,
    shape: shape as [number, number],
    ...(isSize(nested) ? { nested: { blocksize: nested, offset: offset as number } } : {}),
  };
}

/** The bytes of a state without nesting, as Python's json.dumps writes it. */
export function quantStateBytes(blocksize: number, [rows, cols]: [number, number]): number[] {
  const text = `{"quant_type": "nf4", "blocksize": ${blocksize}, "dtype": "bfloat16", "shape": [${rows}, ${cols}]}`;
  return [...new TextEncoder().encode(text)];
}
