import type { GraphNode } from '../../core/graph.js';
import { type Device, eachNode, onDevice, type Rule } from './rule.js';
import { type GraphView, operatorOf } from './view.js';

/** The largest finite float16, which HTP computes floats in. */
const FLOAT16_MAX = 65504;

/** A step of the scores that still tells exp(score) apart by 6 %. */
const COARSE_SCORES = 1 / 16;

/** Pairs of activations are what is quantized; without any the graph is a float one as a whole. */
const quantizesActivations = (view: GraphView) => view.quantized.some(({ inputs }) => !view.constants.has(inputs[0]));

/** Float inputs that come from no DequantizeLinear, of nodes that run on the device. */
function* bareInputs(view: GraphView, { operators }: Device): Iterable<{ node: GraphNode; name: string }> {
  for (const node of view.computed) {
    if (node.op === 'QuantizeLinear' || node.op === 'DequantizeLinear' || !operators.has(operatorOf(node))) continue;
    const name = node.inputs.find((each) => view.isFloat(each) && view.makers.get(each)?.op !== 'DequantizeLinear');
    if (name !== undefined && !(node.op === 'Conv' && node.inputs.indexOf(name) > 0)) yield { node, name };
  }
}

const sameValues = (view: GraphView, a: string | undefined, b: string | undefined) =>
  a === b || JSON.stringify(view.values(a) ?? a) === JSON.stringify(view.values(b) ?? b);

export const ACTIVATION_RULES: Rule[] = [
  {
    id: 'float-activations',
    severity: 'warning',
    advice: 'convert with --activations uint16; float activations serve as a referee.',
    source:
      'Microsoft, DeepSeek R1 on Copilot+ PCs: 16-bit integer activations; HTP computes floats as float16, slower',
    find: onDevice(function* (view, device) {
      if (quantizesActivations(view)) return;
      const bare = [...bareInputs(view, device)];
      if (bare.length === 0) return;
      const types = [...new Set(bare.map(({ name }) => view.types.get(name)))].join(' and ');
      yield { node: bare[0].node.name, message: `${bare.length} nodes compute in ${types}` };
    }),
  },
  {
    id: 'unquantized-operator',
    severity: 'warning',
    advice: 'put a QuantizeLinear and a DequantizeLinear before it.',
    source:
      'onnxruntime-qnn docs, "Generating a quantized model": a node is quantized where all its inputs and outputs have pairs',
    find: onDevice(function* (view, device) {
      if (!quantizesActivations(view)) return;
      for (const { node, name } of bareInputs(view, device)) {
        yield { node: node.name, message: `${node.op} takes ${name} as a float, in a graph of quantized activations` };
      }
    }),
  },
  {
    id: 'unpaired-quantize',
    severity: 'error',
    advice: 'let every reader take the value from a DequantizeLinear.',
    source:
      'onnxruntime docs, "Quantize ONNX models", QDQ format: each QuantizeLinear is followed by a DequantizeLinear',
    find: onDevice(function* (view) {
      const outputs = new Set(view.graph.outputs.map((each) => each.name));
      for (const node of view.quantized) {
        const [value] = node.outputs;
        const readers = view.readers.get(value) ?? [];
        const other = readers.find(({ op }) => op !== 'DequantizeLinear');
        if (other) yield { node: node.name, message: `${other.op} ${other.name} reads its integers as they are` };
        else if (readers.length === 0 && !outputs.has(value))
          yield { node: node.name, message: 'nothing reads its integers' };
      }
    }),
  },
  {
    id: 'unpaired-dequantize',
    severity: 'error',
    advice: 'take the integers from a QuantizeLinear, a graph input or an initializer.',
    source: 'onnxruntime docs, "Quantize ONNX models", QDQ format: each DequantizeLinear follows a QuantizeLinear',
    find: onDevice(function* (view) {
      const inputs = new Set(view.graph.inputs.map((each) => each.name));
      for (const node of view.restored) {
        const maker = view.makers.get(node.inputs[0]);
        if (maker?.op === 'QuantizeLinear' || inputs.has(node.inputs[0])) continue;
        yield { node: node.name, message: `its integers come from ${maker ? `${maker.op} ${maker.name}` : 'nowhere'}` };
      }
    }),
  },
  {
    id: 'mismatched-pair',
    severity: 'error',
    advice: 'give both halves of a pair one scale and one zero point.',
    source: 'onnxruntime core/optimizer/qdq_transformer/qdq_util.cc, IsQDQPairSupported',
    find: onDevice(function* (view) {
      for (const node of view.restored) {
        const maker = view.makers.get(node.inputs[0]);
        if (maker?.op !== 'QuantizeLinear') continue;
        const differs = [1, 2].find((index) => !sameValues(view, maker.inputs[index], node.inputs[index]));
        if (differs === undefined) continue;
        const what = differs === 1 ? 'scale' : 'zero point';
        yield { node: node.name, message: `its ${what} is not that of ${maker.name}` };
      }
    }),
  },
  {
    id: 'activation-type',
    severity: 'error',
    advice: 'quantize activations to uint16.',
    source: 'onnxruntime-qnn docs: QNN operators typically support the uint8 and uint16 data types',
    find: onDevice(function* (view, { activations, name }) {
      for (const node of view.quantized) {
        const type = view.types.get(node.outputs[0]);
        if (type && !activations.has(type) && !view.constants.has(node.inputs[0])) {
          yield {
            node: node.name,
            message: `activations are ${type}; ${name} takes ${[...activations].join(' and ')}`,
          };
        }
      }
    }),
  },
  {
    id: 'stripped-pairs',
    severity: 'note',
    advice: 'with --activations f16 the graph says what the device computes.',
    source:
      'onnxruntime #20622: the OpenVINO provider always strips int16 and uint16 pairs, which the NPU does not have',
    find: onDevice(function* (view) {
      const wide = view.quantized.filter(({ outputs }) => view.types.get(outputs[0]) === 'UINT16');
      if (wide.length > 0) {
        yield {
          node: wide[0].name,
          message: `the provider removes ${wide.length} uint16 pairs and computes in float16`,
        };
      }
    }),
  },
  {
    id: 'matmul-operand',
    severity: 'warning',
    advice: 'quantize the second operand symmetrically, zero point 32768.',
    source:
      'onnxruntime-qnn matmul_op_builder.cc: a dynamic uint16 second operand is converted to symmetric int16, or to uint8',
    find: eachNode((node, view) => {
      const second = node.op === 'MatMul' ? view.makers.get(node.inputs[1]) : undefined;
      if (second?.op !== 'DequantizeLinear' || view.constants.has(node.inputs[1])) return undefined;
      const [zeroPoint] = view.values(second.inputs[2]) ?? [32768];
      const wide = view.types.get(second.inputs[0]) === 'UINT16';
      return wide && zeroPoint !== 32768 ? `its second operand has the zero point ${zeroPoint}` : undefined;
    }),
  },
  {
    id: 'infinite-mask',
    severity: 'error',
    advice: 'use a finite number for hidden positions, as -10000.',
    source:
      'onnxruntime/mobius 78437cd, QNN capability table and Olive ReplaceAttentionMaskValue: masks are finite, never -inf',
    find: eachNode((node, view) => {
      for (const name of node.inputs) {
        const found = view.isFloat(name) ? view.values(name)?.find((value) => !Number.isFinite(value)) : undefined;
        if (found !== undefined) return `its constant ${name} holds ${found}`;
      }
      return undefined;
    }),
  },
  {
    id: 'wide-mask',
    severity: 'warning',
    advice: 'use a number within float16 for hidden positions, as -10000.',
    source:
      'onnxruntime/mobius 78437cd, QNN capability table: masks are additive constants that fit uint16 and float16',
    find: eachNode((node, view) => {
      if (node.op === 'DequantizeLinear') return undefined;
      for (const name of node.inputs) {
        const values = view.isFloat(name) ? view.values(name) : undefined;
        const found = values?.find((value) => Number.isFinite(value) && Math.abs(value) > FLOAT16_MAX);
        if (found !== undefined) return `its constant ${name} holds ${found}, beyond float16`;
      }
      return undefined;
    }),
  },
  {
    id: 'coarse-scores',
    severity: 'warning',
    advice: 'put hidden positions just below the least visible score, so that the steps are spent on the scores.',
    source: 'arithmetic: a step of s in the scores of a softmax is a factor of exp(s) in its shares',
    find: eachNode((node, view) => {
      const pair = node.op === 'Softmax' ? view.makers.get(node.inputs[0]) : undefined;
      const [scale] = (pair?.op === 'DequantizeLinear' && view.values(pair.inputs[1])) || [0];
      return scale > COARSE_SCORES ? `the scores before it have steps of ${scale.toPrecision(3)}` : undefined;
    }),
  },
];
