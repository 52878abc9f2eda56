import type { GraphNode } from '../../core/graph.js';
import { type Device, onDevice, type Rule } from './rule.js';
import type { GraphView } from './view.js';

const FOUR_BIT = ['INT4', 'UINT4'];

/** A rule over each DequantizeLinear of integer weights. */
const eachWeight = (judge: (node: GraphNode, view: GraphView, device: Device) => string | undefined) =>
  onDevice(function* (view, device) {
    for (const node of view.weights) {
      const message = judge(node, view, device);
      if (message !== undefined) yield { node: node.name, message };
    }
  });

const typeOf = (view: GraphView, name: string | undefined) => view.initializers.get(name ?? '')?.dtype;
const isFourBit = (node: GraphNode, view: GraphView) => FOUR_BIT.includes(typeOf(view, node.inputs[0]) ?? '');

/** Columns that share a scale, 'channel' or 'tensor'. */
function granularity(node: GraphNode, view: GraphView): number | 'channel' | 'tensor' {
  const size = node.attributes.block_size;
  if (typeof size === 'number' && size > 0) return size;
  const scales = view.initializers.get(node.inputs[1])?.shape ?? [];
  return scales.length === 0 ? 'tensor' : 'channel';
}

/** Whether a row of weights is a whole, even number of groups: packed zero points fill their bytes only then. */
const fillsGroups = (node: GraphNode, view: GraphView, size: number) =>
  (view.initializers.get(node.inputs[0])?.shape[1] ?? 0) % (2 * size) === 0;

export const WEIGHT_RULES: Rule[] = [
  {
    id: 'int4-zero-point',
    severity: 'error',
    advice: 'write an INT4 zero-point tensor of zeros.',
    source: 'onnxruntime-qnn: int4 is recognised from the type of the zero points; without them it is read as int8',
    find: eachWeight((node, view) =>
      typeOf(view, node.inputs[0]) === 'INT4' && !node.inputs[2] ? 'INT4 weights have no zero points' : undefined,
    ),
  },
  {
    id: 'uint4-zero-point',
    severity: 'error',
    advice: 'write the zero points, 8 for symmetric weights.',
    source:
      'onnx docs/Operators.md, DequantizeLinear: without zero points codes count from 0, so that no weight is negative',
    find: eachWeight((node, view) =>
      typeOf(view, node.inputs[0]) === 'UINT4' && !node.inputs[2] ? 'UINT4 weights have no zero points' : undefined,
    ),
  },
  {
    id: 'int4-type',
    severity: 'error',
    advice: 'convert without --asymmetric.',
    source: 'onnxruntime-qnn builder/qnn_model_wrapper.cc: "QNN only supports symmetric INT4 quantization"',
    find: eachWeight((node, view, { name, weights }) => {
      const type = typeOf(view, node.inputs[0]);
      return isFourBit(node, view) && type !== weights.type
        ? `weights are ${type}; ${name} wants ${weights.type}`
        : undefined;
    }),
  },
  {
    id: 'int4-asymmetric',
    severity: 'error',
    advice: 'convert without --asymmetric.',
    source:
      'onnxruntime-qnn builder/qnn_model_wrapper.cc: "QNN only supports symmetric INT4 quantization with zp == 0"',
    find: eachWeight((node, view, { weights }) => {
      const zeroPoints = node.inputs[2];
      if (!weights.symmetric || !isFourBit(node, view) || !zeroPoints) return undefined;
      const middle = typeOf(view, zeroPoints) === 'UINT4' ? 8 : 0;
      const values = view.values(zeroPoints);
      if (values) {
        const other = values.find((value) => value !== middle);
        return other === undefined ? undefined : `zero point ${other} among 4-bit weights`;
      }
      return `the zero points ${zeroPoints} are none of the model’s own zeros`;
    }),
  },
  {
    id: 'zero-point-type',
    severity: 'error',
    advice: 'give codes and zero points one type.',
    source: 'onnx docs/Operators.md, DequantizeLinear: x and x_zero_point have the same type',
    find: onDevice(function* (view) {
      for (const node of view.graph.nodes.filter(({ op }) => op === 'DequantizeLinear')) {
        const [codes, zeroPoints] = [node.inputs[0], node.inputs[2]].map((name) => view.types.get(name ?? ''));
        if (codes && zeroPoints && codes !== zeroPoints) {
          yield { node: node.name, message: `codes are ${codes}, zero points ${zeroPoints}` };
        }
      }
    }),
  },
  {
    id: 'block-weights',
    severity: 'warning',
    advice: 'convert with --group-size channel, or make sure that the provider is new enough.',
    source: 'onnxruntime-qnn #429, #476, #604, #650: block-wise weights on HTP need QAIRT 2.47 and uint16 activations',
    find: eachWeight((node, view, { name, weights }) => {
      const found = granularity(node, view);
      if (weights.granularity !== 'channel' || typeof found !== 'number') return undefined;
      return `weights in blocks of ${found}; ${name} wants a scale for each channel`;
    }),
  },
  {
    id: 'weight-groups',
    severity: 'warning',
    advice: 'convert with the default --group-size of the target.',
    source: 'Olive ee6f40f, QuarkQuantizationVitisAI: w_uint4_per_group_asym, groups of 128',
    find: eachWeight((node, view, { name, weights }) => {
      const [wanted, found] = [weights.granularity, granularity(node, view)];
      if (wanted === 'channel' || found === wanted || !isFourBit(node, view)) return undefined;
      if (!fillsGroups(node, view, wanted)) return undefined;
      const form = typeof found === 'number' ? `groups of ${found}` : `one scale a ${found}`;
      return `weights have ${form}; ${name} wants groups of ${wanted}`;
    }),
  },
  {
    id: 'channel-axis',
    severity: 'error',
    advice: 'keep weights as [N, K, 1, 1] with the scales along axis 0.',
    source:
      'onnxruntime-qnn builder/opbuilder/conv_op_builder.cc: weights of Conv are quantized along their output channels',
    find: eachWeight((node, view) => {
      const isKernel = view.readers
        .get(node.outputs[0])
        ?.some(({ op, inputs }) => op === 'Conv' && inputs[1] === node.outputs[0]);
      if (!isKernel || granularity(node, view) !== 'channel') return undefined;
      const axis = (node.attributes.axis as number | undefined) ?? 1;
      return axis === 0 ? undefined : `scales of a Conv’s weights lie along axis ${axis}`;
    }),
  },
  {
    id: 'scale-sign',
    severity: 'error',
    advice: 'quantize on a grid whose scales are above 0.',
    source: 'QAIRT QnnTypes.h, Qnn_ScaleOffset_t: "scale must be strictly positive"',
    find: onDevice(function* (view) {
      for (const node of view.graph.nodes) {
        if (node.op !== 'DequantizeLinear' && node.op !== 'QuantizeLinear') continue;
        const bad = view.values(node.inputs[1])?.find((scale) => !(scale > 0 && scale < Number.POSITIVE_INFINITY));
        if (bad !== undefined) yield { node: node.name, message: `${node.op} has the scale ${bad}` };
      }
    }),
  },
  {
    id: 'float-weights',
    severity: 'warning',
    advice: 'convert with --weights int4 or int8; float weights serve as a referee.',
    source: 'Microsoft, DeepSeek R1 on Copilot+ PCs: low-bit weights are what fits the memory and its bandwidth',
    find: onDevice(function* (view) {
      const float = view.graph.nodes.filter(({ op, inputs }) => {
        const name = op === 'Conv' || op === 'MatMul' || op === 'Gemm' ? inputs[1] : '';
        const maker = view.makers.get(name);
        return view.constants.has(name) && view.isFloat(name) && maker?.op !== 'DequantizeLinear';
      });
      if (float.length > 0) yield { node: float[0].name, message: `${float.length} products have float weights` };
    }),
  },
];
