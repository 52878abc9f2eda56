import type { ElementType } from '../core/dtype.js';
import type { Graph, GraphNode } from '../core/graph.js';

const BOOLEAN = ['LessOrEqual', 'Less', 'Greater', 'GreaterOrEqual', 'Equal', 'And', 'Or', 'Not'];

/** TensorProto.DataType by number, as Cast's attribute has it. */
const CAST_TYPES: Record<number, ElementType> = {
  1: 'FLOAT',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  9: 'BOOL',
  10: 'FLOAT16',
  16: 'BFLOAT16',
};

function outputType(node: GraphNode, type: (name: string) => ElementType | undefined): ElementType | undefined {
  const { op, inputs, attributes } = node;
  if (op === 'Cast') return CAST_TYPES[attributes.to as number];
  if (op === 'Shape') return 'INT64';
  if (BOOLEAN.includes(op)) return 'BOOL';
  if (op === 'DequantizeLinear') return type(inputs[1]);
  if (op === 'QuantizeLinear') return type(inputs[2]) ?? 'UINT8';
  if (op === 'GatherBlockQuantized') return type(inputs[2]);
  if (op === 'Where') return type(inputs[1]);
  return type(inputs[0]);
}

/** Element types of every value that nodes, inputs and initializers make; what cannot be told is left out. */
export function elementTypes(graph: Graph): Map<string, ElementType> {
  const types = new Map<string, ElementType>();
  for (const { name, dtype } of [...graph.inputs, ...graph.initializers, ...graph.outputs]) types.set(name, dtype);
  for (const node of graph.nodes) {
    const type = outputType(node, (name) => types.get(name));
    for (const output of node.outputs) if (output !== '' && type && !types.has(output)) types.set(output, type);
  }
  return types;
}
