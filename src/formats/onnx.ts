import { posix } from 'node:path';
import onnxProto from 'onnx-proto';
import type { FileRange } from '../core/checkpoint.js';
import { type ElementType, float32ToF16 } from '../core/dtype.js';
import type { Attribute, Dim, Graph, Initializer, ValueInfo } from '../core/graph.js';

const { onnx } = onnxProto;

/** TensorProto.DataType numbers (onnx.proto); onnx-proto is frozen before the low-bit ones. */
export const ELEMENT_TYPES: Record<ElementType, number> = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BOOL: 9,
  FLOAT16: 10,
  BFLOAT16: 16,
  FLOAT8E4M3FN: 17,
  FLOAT8E5M2: 19,
  UINT4: 21,
  INT4: 22,
  FLOAT4E2M1: 23,
  FLOAT8E8M0: 24,
};

/** IR version that goes with an opset of ai.onnx (onnx/docs/Versioning.md). */
const irVersion = (opset: number) => (opset >= 25 ? 13 : opset === 24 ? 12 : opset === 23 ? 11 : opset >= 21 ? 10 : 9);

function attribute(name: string, value: Attribute) {
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (Array.isArray(value)) return { name, type: 7, ints: value };
  if ('float' in value) return { name, type: 1, f: value.float };
  return { name, type: 6, floats: value.floats };
}

function valueInfo(value: ValueInfo) {
  const dimension = (dim: Dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim });
  return {
    name: value.name,
    type: { tensorType: { elemType: ELEMENT_TYPES[value.dtype], shape: { dim: value.shape.map(dimension) } } },
  };
}

/** The values of a small constant, element by element. */
function elements({ name, shape }: Initializer, values: number[]): number[] {
  const count = shape.reduce((product, each) => product * each, 1);
  if (values.length === count) return values;
  if (values.length !== 1) throw new Error(`initializer ${name} has ${values.length} values for [${shape.join(', ')}]`);
  return new Array<number>(count).fill(values[0]);
}

/** Little-endian bytes of a small constant, as TensorProto.raw_data. */
function rawData(dtype: ElementType, values: number[]): Uint8Array {
  const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  switch (dtype) {
    case 'FLOAT':
      return bytes(Float32Array.from(values));
    case 'FLOAT16':
      return bytes(Uint16Array.from(values, float32ToF16));
    case 'INT64':
      return bytes(BigInt64Array.from(values, (each) => BigInt(each)));
    case 'INT32':
      return bytes(Int32Array.from(values));
    case 'UINT16':
      return bytes(Uint16Array.from(values));
    case 'INT16':
      return bytes(Int16Array.from(values));
    case 'UINT8':
    case 'BOOL':
      return Uint8Array.from(values);
    case 'INT8':
      return bytes(Int8Array.from(values));
    case 'INT4':
    case 'UINT4': {
      const packed = new Uint8Array(Math.ceil(values.length / 2));
      values.forEach((value, index) => {
        packed[index >> 1] |= (value & 15) << (index % 2 === 0 ? 0 : 4);
      });
      return packed;
    }
    default:
      throw new Error(`a constant of type ${dtype} cannot be written into a graph`);
  }
}

/** A place in the package as a model in this folder of it names it. */
const within = (folder: string, place: FileRange | undefined) =>
  place && (folder === '.' ? place : { ...place, file: posix.relative(folder, place.file) });

function tensor(initializer: Initializer, range: FileRange | undefined) {
  const base = { name: initializer.name, dataType: ELEMENT_TYPES[initializer.dtype], dims: initializer.shape };
  if ('values' in initializer.content) {
    return { ...base, rawData: rawData(initializer.dtype, elements(initializer, initializer.content.values)) };
  }
  if (!range) throw new Error(`initializer ${initializer.name} has no place in a data file`);
  return {
    ...base,
    dataLocation: 1,
    externalData: [
      { key: 'location', value: range.file },
      { key: 'offset', value: String(range.offset) },
      { key: 'length', value: String(range.nbytes) },
    ],
  };
}

/**
 * A lowered graph as the bytes of an ONNX model. Weights stay in data files: `external` says where each initializer's
 * bytes are. Nothing in the result depends on time or machine.
 */
export function encodeModel(
  graph: Graph,
  external: Record<string, FileRange>,
  producerVersion: string,
  /** The model's own file: places of bytes are written relative to its folder. */
  file = '',
): Uint8Array {
  const semantic = graph.nodes.find((node) => node.domain === 'halfbyte');
  if (semantic) throw new Error(`${semantic.name}: operator ${semantic.op} was not lowered`);
  const model = {
    irVersion: irVersion(graph.opsets['']),
    opsetImport: Object.entries(graph.opsets).map(([domain, version]) => ({ domain, version })),
    producerName: 'halfbyte',
    producerVersion,
    graph: {
      name: graph.name,
      node: graph.nodes.map((node) => ({
        name: node.name,
        opType: node.op,
        domain: node.domain,
        input: node.inputs,
        output: node.outputs,
        attribute: Object.entries(node.attributes).map(([name, value]) => attribute(name, value)),
      })),
      initializer: graph.initializers.map((each) => tensor(each, within(posix.dirname(file), external[each.name]))),
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
      valueInfo: [],
    },
  };
  return onnx.ModelProto.encode(onnx.ModelProto.create(model as never)).finish();
}
