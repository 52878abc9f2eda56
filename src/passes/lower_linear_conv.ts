import { UsageError } from '../core/errors.js';
import type { Attribute } from '../core/graph.js';
import type { QuantizationArgs } from '../core/scheme.js';
import { pass } from '../graph/pass.js';
import { type Replacement, replaceEach } from '../graph/rewrite.js';
import { assigned, floatWeight, integerBits } from './weight_initializers.js';

const SIGNED = {
  name: 'signed_codes',
  removes: [],
  leaves: [],
};

/**
 * Weights of linear layers in the form of an NPU: symmetric codes become signed (INT4, INT8 with zero points of 0), and
 * a row that has no whole number of groups (or whose packed zero points would not fill their bytes) is one group.
 */
export const signedCodes = pass(SIGNED, (graph) => ({
  ...graph,
  weights: Object.fromEntries(
    Object.entries(graph.weights).map(([name, weight]) => {
      const { scheme, shape, role } = weight;
      if (!scheme || role !== 'matrix' || !integerBits(scheme)) return [name, weight];
      const args: QuantizationArgs = { ...scheme };
      if (args.symmetric) args.signed = true;
      if (args.group_size !== undefined && !fillsGroups(shape[shape.length - 1], args)) {
        args.strategy = 'channel';
        delete args.group_size;
      }
      return [name, { ...weight, scheme: args }];
    }),
  ),
}));

function fillsGroups(cols: number, { group_size, symmetric, scheme }: QuantizationArgs): boolean {
  const groups = cols / (group_size as number);
  return Number.isInteger(groups) && (symmetric || scheme === 'int8' || groups % 2 === 0);
}

/** A matrix [N, K] as the weights [N, K, 1, 1] of a 1x1 convolution: float, or integer codes under a DequantizeLinear. */
function convolutionWeight(into: Replacement, name: string): string {
  const { scheme, shape } = assigned(into, name);
  const [rows, cols] = shape;
  const kernel = [rows, cols, 1, 1];
  const bits = integerBits(scheme);
  if (!bits) return floatWeight(into, name, kernel);
  const { graph, node } = into;
  const groups = scheme.strategy === 'group' ? cols / (scheme.group_size as number) : undefined;
  if (groups !== undefined && !Number.isInteger(groups)) {
    throw new UsageError(
      `${name}: ${cols} columns are not a whole number of groups of ${scheme.group_size}.`,
      '--group-size channel.',
    );
  }
  const type = scheme.signed ? (bits === 4 ? 'INT4' : 'INT8') : bits === 4 ? 'UINT4' : 'UINT8';
  const scaleShape = groups === undefined ? [rows] : [rows, groups, 1, 1];
  const half = scheme.scale_dtype === 'F16';
  const stored = graph.initializer(`${name}_scales`, half ? 'FLOAT16' : 'FLOAT', scaleShape, {
    weight: name,
    part: 'scales',
  });
  const inputs = [
    graph.initializer(`${name}_Q${bits}`, type, kernel, { weight: name, part: 'codes' }),
    half ? into.onnx('Cast', `${node.name}/scales_Cast`, [stored], { to: 1 }) : stored,
    scheme.symmetric
      ? // The device reads the bit width from the zero points' type, so they are written although they are all 0.
        graph.initializer(`/model/constants/${type}/zeros[${scaleShape.join(',')}]`, type, scaleShape, { values: [0] })
      : graph.initializer(`${name}_zero_points`, type, scaleShape, { weight: name, part: 'zero_points' }),
  ];
  const axes: Record<string, Attribute> =
    groups === undefined ? { axis: 0 } : { axis: 1, block_size: scheme.group_size as number };
  return into.onnx('DequantizeLinear', `${node.name}/weight_DequantizeLinear`, inputs, axes);
}

/** Name of a linear layer's result before its bias: a calibration has its range. */
export const productName = (node: string): string => `${node}/product`;

const CONVOLUTION = {
  name: 'lower_linear_conv',
  removes: ['halfbyte.Linear'],
  leaves: ['Reshape', 'Transpose', 'Conv', 'DequantizeLinear', 'Cast', 'Add'],
};

/**
 * Linear on [1, S, K] -> 1x1 Conv between two transposes, weights kept in Hugging Face's [N, K] order. Layers that read
 * the same value share the way there. A bias is an Add, so that it needs no 32-bit form of its own.
 */
export const lowerLinearToConv = pass(CONVOLUTION, (graph) => {
  const ready = new Map<string, string>();
  return replaceEach(graph, 'Linear', (node, into) => {
    const [x, name, bias] = node.inputs;
    const [batch, tokens, cols] = graph.values[x].shape as number[];
    const rows = graph.weights[name].shape[0];
    const path = node.name.replace(/\/MatMul$/, '');
    const shape = (...dims: number[]) => into.graph.constant('INT64', dims);
    let channels = ready.get(x);
    if (channels === undefined) {
      const pixels = into.onnx('Reshape', `${x}/pixels/Reshape`, [x, shape(batch, 1, tokens, cols)]);
      channels = into.onnx('Transpose', `${x}/channels/Transpose`, [pixels], { perm: [0, 3, 1, 2] });
      ready.set(x, channels);
    }
    const product = into.onnx('Conv', `${path}/Conv`, [channels, convolutionWeight(into, name)], {
      kernel_shape: [1, 1],
    });
    const rowsLast = into.onnx('Transpose', `${path}/Transpose`, [product], { perm: [0, 2, 3, 1] });
    const output = node.outputs[0];
    const shaped = into.onnx(
      'Reshape',
      `${path}/Reshape`,
      [rowsLast, shape(batch, tokens, rows)],
      {},
      bias ? productName(node.name) : output,
    );
    if (bias) into.onnx('Add', `${path}/Add`, [shaped, floatWeight(into, bias)], {}, output);
  });
});
