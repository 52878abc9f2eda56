import type { GraphNode } from '../../core/graph.js';
import { eachNode, everywhere, onDevice, type Rule } from './rule.js';
import { type GraphView, operatorOf } from './view.js';

/** Groups of neighbouring nodes among `nodes`: how many separate islands they are. */
function islands(nodes: GraphNode[], view: GraphView): number {
  const left = new Set(nodes);
  let count = 0;
  for (const start of nodes) {
    if (!left.delete(start)) continue;
    count++;
    const pending = [start];
    for (let node = pending.pop(); node; node = pending.pop()) {
      const makers = node.inputs.map((name) => view.makers.get(name));
      const readers = node.outputs.flatMap((name) => view.readers.get(name) ?? []);
      for (const next of [...makers, ...readers]) if (next && left.delete(next)) pending.push(next);
    }
  }
  return count;
}

const counted = (names: string[]) => {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
};

export const OPERATOR_RULES: Rule[] = [
  {
    id: 'unsupported-operator',
    severity: 'error',
    advice: 'write it with operators of the list; the runtime would silently move it to the CPU.',
    source: 'onnxruntime-qnn docs/execution_providers/QNN-ExecutionProvider.md, "Supported ONNX operators"',
    find: eachNode((node, view, { operators, islands: known, name }) => {
      const operator = operatorOf(node);
      if (operators.has(operator) || known.has(operator) || view.constants.has(node.outputs[0])) return undefined;
      return `${name} does not run ${operator}`;
    }),
  },
  {
    id: 'unlisted-operator',
    severity: 'note',
    advice: 'look at the compiler’s partition report on the device itself.',
    source: 'vitisai.docs.amd.com, Vitis AI 6.2, "Supported Operators": a list without them',
    find: onDevice(function* (view, { unlisted, name }) {
      const nodes = view.computed.filter((node) => unlisted.has(operatorOf(node)));
      if (nodes.length === 0) return;
      yield { node: nodes[0].name, message: `${name} may run these on the CPU: ${counted(nodes.map(operatorOf))}` };
    }),
  },
  {
    id: 'cpu-islands',
    severity: 'warning',
    advice: 'convert with --attention npu, whose operators all run on the device.',
    source: 'Olive ee6f40f: GroupQueryAttention stays on the CPU, between two partitions at every layer',
    find: onDevice(function* (view, { operators }) {
      const nodes = view.computed.filter((node) => !operators.has(operatorOf(node)));
      if (nodes.length === 0) return;
      const count = islands(nodes, view);
      yield {
        node: nodes[0].name,
        message: `${count} CPU ${count === 1 ? 'island' : 'islands'} of ${nodes.length} nodes (${counted(nodes.map(operatorOf))}): values cross to the CPU and back at each`,
      };
    }),
  },
  {
    id: 'unsupported-type',
    severity: 'error',
    advice: 'cast it where the graph begins, or leave it to a stage on the CPU.',
    source: 'QAIRT operation definitions, HtpOpDefSupplement: data types of each operator',
    find: eachNode((node, view, { types }) => {
      const found = [...node.inputs, ...node.outputs].find((name) => {
        const type = name === '' ? undefined : view.types.get(name);
        return type !== undefined && !types.has(type);
      });
      return found && `${found} is ${view.types.get(found)}`;
    }),
  },
  {
    id: 'negative-index',
    severity: 'error',
    advice: 'count from the start of the axis.',
    source: 'onnxruntime-qnn docs, "Supported ONNX operators": Gather only supports positive indices',
    find: eachNode((node, view) => {
      const least = node.op === 'Gather' ? view.values(node.inputs[1])?.find((index) => index < 0) : undefined;
      return least === undefined ? undefined : `Gather has the index ${least}`;
    }),
  },
  {
    id: 'old-opset',
    severity: 'error',
    advice: 'import opset 21 of ai.onnx or a later one.',
    source: 'onnx docs/Changelog.md: DequantizeLinear has int4, int16 and block_size since opset 21',
    find: everywhere(function* ({ graph, types }) {
      const opset = graph.opsets[''] ?? 0;
      if (opset >= 21) return;
      for (const node of graph.nodes) {
        const type = types.get(node.inputs[0]) ?? '';
        const needs = node.op === 'DequantizeLinear' && ['INT4', 'UINT4', 'INT16', 'UINT16'].includes(type);
        if (needs) yield { node: node.name, message: `DequantizeLinear of ${type} under opset ${opset}` };
      }
    }),
  },
  {
    id: 'missing-value',
    severity: 'error',
    advice: 'the graph is damaged: make it again.',
    source: 'onnx docs/IR.md: every input is a graph input, an initializer or an earlier node’s output',
    find: everywhere(function* ({ graph, initializers }) {
      const known = new Set([...initializers.keys(), ...graph.inputs.map((each) => each.name), '']);
      for (const node of graph.nodes) {
        for (const name of node.inputs)
          if (!known.has(name)) yield { node: node.name, message: `nothing makes its input ${name}` };
        for (const name of node.outputs) known.add(name);
      }
      for (const { name } of graph.outputs)
        if (!known.has(name)) yield { node: null, message: `nothing makes the output ${name}` };
    }),
  },
];
