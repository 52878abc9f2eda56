import { closeSync, readSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, posix, sep } from 'node:path';
import onnxProto from 'onnx-proto';
import type { FileRange } from '../core/checkpoint.js';
import { type ElementType, f16ToFloat32 } from '../core/dtype.js';
import { InvalidInputError } from '../core/errors.js';
import type { Attribute, Dim, Graph, GraphNode, Initializer, ValueInfo } from '../core/graph.js';
import { own } from '../core/own.js';
import { LARGEST, openInput, readInput } from './input-file.js';
import { ELEMENT_TYPES } from './onnx.js';

const { onnx } = onnxProto;
type Model = InstanceType<typeof onnx.ModelProto>;
type Tensor = NonNullable<NonNullable<NonNullable<Model['graph']>['initializer']>[number]>;

/** Constants up to this size are read into the graph; larger ones are weights. */
const SMALL_BYTES = 1 << 20;
/** Elements of the largest constant whose values are read where the caller does not say. */
const SMALL_ELEMENTS = 1 << 20;

const NAMES = new Map(Object.entries(ELEMENT_TYPES).map(([name, number]) => [number, name as ElementType]));

/** What is wrong with a model, before the file's name is known. */
class InvalidModel extends Error {}

/** An element type by its number; those that this project never writes keep their name or number in onnx.proto. */
function elementType(number: number | null | undefined): ElementType {
  const known = NAMES.get(number ?? 0);
  if (known) return known;
  const others = onnx.TensorProto.DataType as unknown as Record<string, number>;
  return (Object.keys(others).find((name) => others[name] === number) ?? `TYPE_${number}`) as ElementType;
}

const numberOf = (value: unknown): number => Number(value ?? 0);

function valueInfo({ name, type }: { name?: string | null; type?: unknown }): ValueInfo {
  const tensor = (type as { tensorType?: { elemType?: number; shape?: { dim?: DimensionProto[] } } } | null)
    ?.tensorType;
  const dimension = (dim: DimensionProto, index: number): Dim =>
    dim.dimParam
      ? dim.dimParam
      : dim.dimValue === undefined || dim.dimValue === null
        ? `?${index}`
        : Number(dim.dimValue);
  return {
    name: name ?? '',
    dtype: elementType(tensor?.elemType),
    shape: (tensor?.shape?.dim ?? []).map(dimension),
  };
}
interface DimensionProto {
  dimParam?: string | null;
  dimValue?: unknown;
}

/** Where an external tensor says that its bytes are; undefined for one whose bytes stand in the model. */
function placeOf(tensor: Tensor): FileRange | undefined {
  if (tensor.dataLocation !== onnx.TensorProto.DataLocation.EXTERNAL) return undefined;
  const entries = Object.fromEntries((tensor.externalData ?? []).map(({ key, value }) => [key, value]));
  return {
    file: String(entries.location ?? ''),
    offset: Number(entries.offset ?? 0),
    nbytes: Number(entries.length ?? Number.NaN),
  };
}

/** Bytes of an external tensor, undefined where it is large, or where the file does not hold them. */
function externalBytes({ file, offset, nbytes }: FileRange, dir: string): Uint8Array | undefined {
  const location = normalize(file);
  if (!(nbytes <= SMALL_BYTES) || isAbsolute(location) || location.startsWith(`..${sep}`)) return undefined;
  try {
    const { descriptor } = openInput(join(dir, location));
    try {
      const bytes = new Uint8Array(nbytes);
      return readSync(descriptor, bytes, 0, nbytes, offset) === nbytes ? bytes : undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}

/** Numbers of little-endian bytes; undefined for types without a reading. */
function numbers(dtype: ElementType, bytes: Uint8Array, count: number): number[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nibble = (index: number) => (bytes[index >> 1] >> ((index & 1) * 4)) & 15;
  const read = own<[bytes: number, value: (index: number) => number]>({
    FLOAT: [4, (index) => view.getFloat32(4 * index, true)],
    FLOAT16: [2, (index) => f16ToFloat32(view.getUint16(2 * index, true))],
    INT64: [8, (index) => Number(view.getBigInt64(8 * index, true))],
    INT32: [4, (index) => view.getInt32(4 * index, true)],
    UINT16: [2, (index) => view.getUint16(2 * index, true)],
    INT16: [2, (index) => view.getInt16(2 * index, true)],
    UINT8: [1, (index) => view.getUint8(index)],
    BOOL: [1, (index) => view.getUint8(index)],
    INT8: [1, (index) => view.getInt8(index)],
    UINT4: [0.5, nibble],
    INT4: [0.5, (index) => (nibble(index) << 28) >> 28],
  });
  const [size, value] = read[dtype] ?? [];
  if (size === undefined || value === undefined || bytes.byteLength < Math.ceil(count * size)) return undefined;
  return Array.from({ length: count }, (_, index) => value(index));
}

function initializer(tensor: Tensor, dir: string, largest: number): Initializer {
  const dtype = elementType(tensor.dataType);
  const name = tensor.name ?? '';
  const shape = (tensor.dims ?? []).map(numberOf);
  if (shape.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) {
    throw new InvalidModel(`initializer "${name}" has the shape [${shape.join(', ')}]`);
  }
  const count = shape.reduce((product, each) => product * each, 1);
  const place = placeOf(tensor);
  const small = count <= largest;
  const bytes = place ? small && externalBytes(place, dir) : tensor.rawData;
  const typed = [tensor.floatData, tensor.int32Data, tensor.int64Data].find((each) => (each?.length ?? 0) > 0);
  const packed = dtype === 'INT4' || dtype === 'UINT4' || dtype === 'FLOAT16';
  const values =
    typed && !packed
      ? small && Array.from(typed as ArrayLike<unknown>, numberOf)
      : small && bytes && numbers(dtype, bytes, count);
  if (values) return { name, dtype, shape, content: { values } };
  return { name, dtype, shape, content: { weight: name, part: place?.file ?? 'inline' } };
}

function attributes(
  list: NonNullable<NonNullable<Model['graph']>['node']>[number]['attribute'],
): GraphNode['attributes'] {
  const found: Record<string, Attribute> = {};
  for (const each of list ?? []) {
    const name = each.name ?? '';
    if (each.ints && each.ints.length > 0) found[name] = each.ints.map(numberOf);
    else if (each.floats && each.floats.length > 0) found[name] = { floats: [...each.floats] };
    else if (each.type === 1) found[name] = { float: numberOf(each.f) };
    else if (each.type === 3) found[name] = new TextDecoder().decode(each.s ?? new Uint8Array());
    else if (each.type === 2) found[name] = numberOf(each.i);
  }
  return found;
}

/** Tensors that Constant nodes hold, as initializers. */
function constants(nodes: NonNullable<Model['graph']>['node'], dir: string, largest: number): Initializer[] {
  return (nodes ?? []).flatMap(({ opType, output, attribute }) => {
    const tensor = opType === 'Constant' ? attribute?.find((each) => each.name === 'value')?.t : undefined;
    return tensor && output?.[0] ? [initializer({ ...tensor, name: output[0] } as Tensor, dir, largest)] : [];
  });
}

/** A model that was read: its graph, and where the bytes of its external initializers are, by their name. */
export interface ReadModel {
  graph: Graph;
  external: Record<string, FileRange>;
}

/**
 * Reads an ONNX file as a graph, for inspection alone: it is never written again, since what this reader does not know
 * would be lost. Constants of at most `largest` elements (2^20) come with their values where their bytes are at hand,
 * Constant nodes as initializers. Throws InvalidInputError for anything but a model.
 */
export function readModel(file: string, largest = SMALL_ELEMENTS): ReadModel {
  const bytes = readInput(file, LARGEST.graph);
  try {
    return modelOf(onnx.ModelProto.decode(bytes) as Model, dirname(file), largest);
  } catch (error) {
    throw new InvalidInputError(`${file}: is no ONNX model: ${(error as Error).message}.`, 'copy the file again.');
  }
}

/** Reads a graph of a package, its name inside of which is `file`; places of bytes are named inside of the package too. */
export function readPackageModel(dir: string, file: string, largest?: number): ReadModel {
  const { graph, external } = readModel(join(dir, file), largest);
  const inPackage = (place: FileRange) => ({ ...place, file: posix.join(posix.dirname(file), place.file) });
  return {
    graph,
    external: Object.fromEntries(Object.entries(external).map(([name, place]) => [name, inPackage(place)])),
  };
}

function modelOf({ graph, opsetImport }: Model, dir: string, largest: number): ReadModel {
  if (!graph?.node?.length) throw new InvalidModel('it holds no graph');
  const tensors = (graph.initializer ?? []) as Tensor[];
  const initializers = [
    ...tensors.map((each) => initializer(each, dir, largest)),
    ...constants(graph.node, dir, largest),
  ];
  const stored = new Set(initializers.map((each) => each.name));
  const values = [...(graph.valueInfo ?? []), ...(graph.input ?? []), ...(graph.output ?? [])].map(valueInfo);
  return {
    external: own(
      Object.fromEntries(
        tensors.flatMap((tensor) => {
          const place = placeOf(tensor);
          return place ? [[tensor.name ?? '', place] as const] : [];
        }),
      ),
    ),
    graph: {
      name: graph.name ?? '',
      // Before IR 4 every initializer was an input too.
      inputs: (graph.input ?? []).map(valueInfo).filter((each) => !stored.has(each.name)),
      outputs: (graph.output ?? []).map(valueInfo),
      nodes: graph.node
        .filter(({ opType }) => opType !== 'Constant')
        .map((node, index) => ({
          name: node.name || `node ${index}`,
          op: node.opType ?? '',
          domain: (node.domain === 'ai.onnx' ? '' : (node.domain ?? '')) as GraphNode['domain'],
          inputs: node.input ?? [],
          outputs: node.output ?? [],
          attributes: attributes(node.attribute),
        })),
      initializers,
      weights: {},
      values: Object.fromEntries(values.map((value) => [value.name, value])),
      hiddenStates: [],
      opsets: Object.fromEntries((opsetImport ?? []).map(({ domain, version }) => [domain ?? '', numberOf(version)])),
    },
  };
}

/**
 * A model's bytes without the rounding of activations, the same graph and the same weights otherwise: block-quantized
 * products that round theirs to int8 (accuracy_level 4) compute in float32 (1), and each QuantizeLinear whose result
 * goes into DequantizeLinear alone, with that, hands its input on.
 */
export function withFloatProducts(model: Uint8Array): Uint8Array {
  const decoded = onnx.ModelProto.decode(model);
  const nodes = decoded.graph?.node ?? [];
  for (const { attribute } of nodes) {
    const level = attribute?.find(({ name }) => name === 'accuracy_level');
    if (level && Number(level.i) > 1) level.i = 1;
  }
  const codes = new Set(
    nodes.filter(({ opType }) => opType === 'QuantizeLinear').map(({ output }) => output?.[0] ?? ''),
  );
  for (const { name } of decoded.graph?.output ?? []) codes.delete(name ?? '');
  for (const { opType, input } of nodes) {
    for (const name of input ?? []) if (opType !== 'DequantizeLinear') codes.delete(name);
  }
  for (const node of nodes) {
    const isPair =
      (node.opType === 'QuantizeLinear' && codes.has(node.output?.[0] ?? '')) ||
      (node.opType === 'DequantizeLinear' && codes.has(node.input?.[0] ?? ''));
    if (!isPair) continue;
    Object.assign(node, { opType: 'Identity', input: node.input?.slice(0, 1), attribute: [] });
  }
  return onnx.ModelProto.encode(decoded).finish();
}
