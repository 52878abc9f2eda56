import type { FileRange, TensorRef } from '../../core/checkpoint.js';
import { type Dtype, FLOAT_DTYPES } from '../../core/dtype.js';
import { InvalidInputError } from '../../core/errors.js';
import { isObject, type Json, type JsonObject } from '../../core/json.js';
import type { LogicalTensor } from '../../core/weights.js';
import { matrixOf } from '../plain.js';

export type Tensors = ReadonlyMap<string, TensorRef>;

/** quantization_config of a config.json, {} where there is none. */
export const quantizationConfig = (config: JsonObject): JsonObject =>
  isObject(config.quantization_config) ? config.quantization_config : {};

/** Throws InvalidInputError: a key of quantization_config asks for what the layout does not have. */
export function refuseSetting(layout: string, key: string, found: Json | undefined, needed: string): never {
  throw new InvalidInputError(
    `config.json: quantization_config.${key} is ${JSON.stringify(found ?? null).slice(0, 200)}; layout ${layout} needs ${needed}.`,
    'convert the original checkpoint instead.',
  );
}

/** A tensor stored beside "<owner>" with one of `dtypes` and of `shape`. Throws InvalidInputError. */
export function partOf(
  owner: string,
  tensors: Tensors,
  name: string,
  dtypes: readonly Dtype[],
  shape?: number[],
): TensorRef {
  const ref = tensors.get(name);
  if (!ref) {
    const file = [...tensors.values()].find((each) => each.name.startsWith(owner.replace(/weight$/, '')))?.file;
    throw new InvalidInputError(
      `${file ?? 'the checkpoint'}: "${owner}" is stored in parts and needs "${name}", which is missing.`,
      'check that quantization_config belongs to these weights.',
    );
  }
  if (!dtypes.includes(ref.dtype)) {
    throw new InvalidInputError(
      `${ref.file}: tensor "${name}" has dtype ${ref.dtype}; "${owner}" needs ${dtypes.join(' or ')}.`,
      'convert the original checkpoint instead.',
    );
  }
  if (shape && String(ref.shape) !== String(shape)) refuseShape(ref, owner, `[${shape.join(', ')}]`);
  return ref;
}

/** Throws InvalidInputError: a part's shape is not what its owner needs. */
export function refuseShape(ref: TensorRef, owner: string, needed: string): never {
  throw new InvalidInputError(
    `${ref.file}: tensor "${ref.name}" is [${ref.shape.join(', ')}]; "${owner}" needs ${needed}.`,
    'check that quantization_config belongs to these weights, or download this shard again.',
  );
}

/** Throws InvalidInputError: codes of a number of bits that the layout is not read with. */
export function refuseBits(ref: TensorRef, owner: string, bits: number): never {
  throw new InvalidInputError(
    `${ref.file}: tensor "${ref.name}" [${ref.shape.join(', ')}] belongs to codes of ${bits} bits; "${owner}" is read with 4 and 8.`,
    'convert the original checkpoint instead.',
  );
}

/** Float tensors that stand as they are: all of them but those in `taken`, which belong to packed ones. */
export function floatTensors(tensors: Tensors, taken: ReadonlySet<string>): Map<string, LogicalTensor> {
  const logical = new Map<string, LogicalTensor>();
  for (const [name, ref] of tensors) {
    if (taken.has(name) || !FLOAT_DTYPES.includes(ref.dtype)) continue;
    logical.set(name, {
      name,
      shape: ref.shape,
      source: { kind: 'tensor', ref, ...matrixOf(ref.shape) },
    });
  }
  return logical;
}

/** A matrix that a layout decodes from `parts`, by the name `<module>.weight`. */
export function packedMatrix(
  layout: string,
  name: string,
  [rows, cols]: [number, number],
  parts: Record<string, TensorRef>,
  parameters: JsonObject,
): LogicalTensor {
  return { name, shape: [rows, cols], source: { kind: 'packed', layout, parts, parameters, name, rows, cols } };
}

/** Bytes of rows [from, from + count) of a part whose first axis is rows, each `perStored` rows of the matrix. */
export function rowBytes(part: TensorRef, from: number, count: number, perStored = 1): FileRange {
  const nbytes = part.nbytes / part.shape[0];
  const first = Math.floor(from / perStored);
  const last = Math.ceil((from + count) / perStored);
  return { file: part.file, offset: part.offset + first * nbytes, nbytes: (last - first) * nbytes };
}

/** Bytes of columns [from, from + count) of a part [segments, columns]: a range of each segment. */
export function columnBytes(part: TensorRef, from: number, count: number): FileRange[] {
  const [segments, columns] = part.shape;
  const segmentBytes = part.nbytes / segments;
  const unit = segmentBytes / columns;
  return Array.from({ length: segments }, (_, segment) => ({
    file: part.file,
    offset: part.offset + segment * segmentBytes + from * unit,
    nbytes: count * unit,
  }));
}

/** All bytes of a part. */
export const allBytes = ({ file, offset, nbytes }: TensorRef): FileRange => ({ file, offset, nbytes });
