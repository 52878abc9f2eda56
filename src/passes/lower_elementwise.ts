import type { GraphNode } from '../core/graph.js';
import { own } from '../core/own.js';
import { pass } from '../graph/pass.js';
import { float, integer, type Replacement, replaceEach, text } from '../graph/rewrite.js';

function activation(node: GraphNode, into: Replacement): void {
  const [x] = node.inputs;
  const { name } = node;
  const output = node.outputs[0];
  const kind = text(node, 'function');
  if (kind === 'silu') {
    into.onnx('Mul', `${name}/Mul`, [x, into.onnx('Sigmoid', `${name}/Sigmoid`, [x])], {}, output);
  } else if (kind === 'gelu_pytorch_tanh') {
    into.onnx('Gelu', name, [x], { approximate: 'tanh' }, output);
  } else if (kind === 'gelu') {
    into.onnx('Gelu', name, [x], {}, output);
  } else if (kind === 'relu') {
    into.onnx('Relu', name, [x], {}, output);
  } else if (kind === 'relu2') {
    const bent = into.onnx('Relu', `${name}/Relu`, [x]);
    into.onnx('Mul', `${name}/Mul`, [bent, bent], {}, output);
  } else if (kind === 'quick_gelu') {
    const steeper = into.onnx('Mul', `${name}/Scale`, [x, into.graph.constant('FLOAT', 1.702)]);
    into.onnx('Mul', `${name}/Mul`, [x, into.onnx('Sigmoid', `${name}/Sigmoid`, [steeper])], {}, output);
  } else {
    throw new Error(`${name}: no lowering for the activation ${kind}`);
  }
}

const lowerings: Record<string, (node: GraphNode, into: Replacement) => void> = own({
  Activation: activation,
  Add: (node, into) => void into.onnx('Add', node.name, node.inputs, {}, node.outputs[0]),
  Mul: (node, into) => void into.onnx('Mul', node.name, node.inputs, {}, node.outputs[0]),
  Scale: (node, into) => {
    const factor = into.graph.constant('FLOAT', float(node, 'factor'));
    into.onnx('Mul', node.name, [node.inputs[0], factor], {}, node.outputs[0]);
  },
  Softcap: (node, into) => {
    const cap = into.graph.constant('FLOAT', float(node, 'cap'));
    const bent = into.onnx('Tanh', `${node.name}/Tanh`, [into.onnx('Div', `${node.name}/Div`, [node.inputs[0], cap])]);
    into.onnx('Mul', `${node.name}/Mul`, [bent, cap], {}, node.outputs[0]);
  },
  Slice: (node, into) => {
    const bound = (value: number) => into.graph.constant('INT64', [value]);
    const range = [bound(integer(node, 'from')), bound(integer(node, 'to')), bound(-1)];
    into.onnx('Slice', node.name, [node.inputs[0], ...range], {}, node.outputs[0]);
  },
  Concat: (node, into) => void into.onnx('Concat', node.name, node.inputs, { axis: -1 }, node.outputs[0]),
});

const ELEMENTWISE = {
  name: 'lower_elementwise',
  requires: ['halfbyte.RmsNorm', 'halfbyte.Router', 'halfbyte.Experts'],
  removes: Object.keys(lowerings).map((op) => `halfbyte.${op}`),
  leaves: ['Add', 'Concat', 'Div', 'Gelu', 'Mul', 'Relu', 'Sigmoid', 'Slice', 'Tanh'],
};

/** Activation, Add, Mul, Scale, Softcap, Slice and Concat -> the operators of ai.onnx (opset 20 and later). */
export const lowerElementwise = pass(ELEMENTWISE, (graph) =>
  Object.entries(lowerings).reduce(
    (lowered, [op, lower]) => replaceEach(lowered, op, (node, into) => lower(node, into)),
    graph,
  ),
);
