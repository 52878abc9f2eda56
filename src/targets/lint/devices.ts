import type { ElementType } from '../../core/dtype.js';
import type { Device } from './rule.js';

/** Operators that move or reshape values, with those of plain arithmetic: every device here runs them. */
const COMMON = [
  ...['Abs', 'Add', 'And', 'Cast', 'Ceil', 'Clip', 'Concat', 'Conv', 'ConvTranspose', 'Cos', 'CumSum', 'DepthToSpace'],
  ...['Div', 'Elu', 'Equal', 'Exp', 'Expand', 'Flatten', 'Floor', 'Gather', 'GatherElements', 'GatherND', 'Gelu'],
  ...['Gemm', 'Greater', 'GreaterOrEqual', 'HardSwish', 'Identity', 'InstanceNormalization', 'LayerNormalization'],
  ...['Less', 'LessOrEqual', 'Log', 'MatMul', 'Max', 'Min', 'Mul', 'Neg', 'Not', 'Or', 'Pad', 'Pow', 'Reciprocal'],
  ...['ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceSum', 'Relu', 'Reshape', 'Round', 'ScatterElements'],
  ...['ScatterND', 'Sigmoid', 'Sign', 'Sin', 'Slice', 'Softmax', 'SpaceToDepth', 'Split', 'Sqrt', 'Squeeze', 'Sub'],
  ...['Tanh', 'Tile', 'TopK', 'Transpose', 'Unsqueeze', 'Where', 'QuantizeLinear', 'DequantizeLinear'],
];

/** Fused attention: a CPU island between partitions in Olive's bundles. */
const ISLANDS = new Set(['com.microsoft.GroupQueryAttention', 'com.microsoft.MultiHeadAttention']);

const TYPES: ElementType[] = ['FLOAT', 'FLOAT16', 'UINT8', 'INT8', 'UINT16', 'INT16', 'INT32', 'INT64', 'BOOL'];
const FOUR_BIT: ElementType[] = ['INT4', 'UINT4'];

/**
 * Qualcomm's HTP: operators of the provider's own list that a transformer has a use for (onnxruntime-qnn
 * docs/execution_providers/QNN-ExecutionProvider.md, and builder/op_builder_factory.cc of March 2026).
 */
export const QNN: Device = {
  name: 'QNN HTP',
  provider: 'qnn',
  providerOptions: { backend_path: 'QnnHtp.dll' },
  operators: new Set([
    ...COMMON,
    ...['ArgMax', 'ArgMin', 'Einsum', 'LogSoftmax', 'LpNormalization', 'Mod', 'RMSNormalization', 'ReduceL2'],
    ...['ReduceProd', 'SimplifiedLayerNormalization', 'Softplus', 'Sum'],
    ...['FusedMatMul', 'Gelu', 'QuickGelu', 'QuantizeLinear', 'DequantizeLinear'].map((op) => `com.microsoft.${op}`),
  ]),
  unlisted: new Set(),
  islands: ISLANDS,
  types: new Set([...TYPES, ...FOUR_BIT]),
  activations: new Set(['UINT16', 'UINT8']),
  rank: 5,
  weights: { type: 'INT4', symmetric: true, granularity: 'channel' },
  exceptions: { 'stripped-pairs': null },
};

const OPENVINO_LIST = 'onnxruntime core/providers/openvino/ov_versions/data_ops.cc';

/** Intel's NPU behind the OpenVINO provider. It computes in float16, so that float activations are its own form. */
export const OPENVINO: Device = {
  name: 'the OpenVINO NPU',
  provider: 'openvino',
  providerOptions: { device_type: 'NPU' },
  operators: new Set([
    ...COMMON,
    ...['LogSoftmax', 'LpNormalization', 'Mod', 'OneHot', 'RMSNormalization', 'ReduceL1', 'ReduceL2', 'ReduceProd'],
    ...['SimplifiedLayerNormalization', 'SkipSimplifiedLayerNormalization', 'Sum', 'com.microsoft.MatMulNBits'],
    ...['SimplifiedLayerNormalization', 'SkipSimplifiedLayerNormalization', 'QuickGelu'].map(
      (op) => `com.microsoft.${op}`,
    ),
  ]),
  unlisted: new Set(),
  islands: ISLANDS,
  types: new Set([...TYPES, ...FOUR_BIT]),
  activations: new Set(['UINT16', 'UINT8', 'INT8', 'INT16']),
  rank: 5,
  weights: { type: 'INT4', symmetric: true, granularity: 'channel' },
  exceptions: {
    'dynamic-shape': { source: 'docs.openvino.ai, NPU device: models with dynamic shapes are not supported' },
    'computed-shape': { source: 'docs.openvino.ai, NPU device: models with dynamic shapes are not supported' },
    'unsupported-operator': { source: OPENVINO_LIST },
    'unsupported-type': { source: OPENVINO_LIST },
    'negative-index': null,
    'rank-5': null,
    'int4-zero-point': null,
    'int4-type': {
      severity: 'warning',
      source: 'docs.openvino.ai, LLMs on NPU: symmetrically quantized INT4 models are preferred',
    },
    'int4-asymmetric': {
      severity: 'warning',
      source: 'docs.openvino.ai, LLMs on NPU: symmetrically quantized INT4 models are preferred',
    },
    'block-weights': {
      source: 'intel/onnxruntime #669: int4 in groups 4000 ms a token, channel-wise 150 ms',
      advice: 'convert with --group-size channel.',
    },
    'scale-sign': null,
    'float-activations': {
      severity: 'note',
      advice: 'nothing needs to be done: the device computes in float16.',
      source: 'onnxruntime #20627: the NPU has no 16-bit integer operators and computes in FP16',
    },
    'unquantized-operator': null,
    'matmul-operand': null,
    'coarse-scores': null,
  },
};

const VITISAI_LIST = 'vitisai.docs.amd.com, Vitis AI 6.2, "Supported Operators"';

/** AMD's NPU behind the VitisAI provider, whose compiler turns floats into bfloat16. */
export const VITISAI: Device = {
  name: 'the VitisAI NPU',
  provider: 'vitisai',
  providerOptions: { target: 'waic_target_vaiml_cpp_me' },
  operators: new Set([
    ...COMMON,
    ...['Attention', 'Einsum', 'LogSoftmax', 'RMSNormalization', 'ReduceL1', 'ReduceL2'],
    'SimplifiedLayerNormalization',
    'com.microsoft.QuickGelu',
  ]),
  unlisted: new Set(['ScatterElements', 'SimplifiedLayerNormalization']),
  islands: ISLANDS,
  types: new Set([...TYPES, ...FOUR_BIT, 'BFLOAT16' as const]),
  activations: new Set(['UINT16', 'INT16', 'UINT8', 'INT8']),
  rank: 5,
  weights: { type: 'UINT4', symmetric: false, granularity: 128 },
  exceptions: {
    'dynamic-shape': {
      source: 'vitisai.docs.amd.com, "ONNX Operators": dynamic shapes make the whole model fall back to the CPU',
    },
    'computed-shape': {
      source: 'vitisai.docs.amd.com, "ONNX Operators": dynamic shapes make the whole model fall back to the CPU',
    },
    'unsupported-operator': { source: VITISAI_LIST },
    'unsupported-type': { source: VITISAI_LIST },
    'negative-index': null,
    'rank-5': null,
    'int4-zero-point': null,
    'int4-type': {
      severity: 'warning',
      advice: 'convert with the default weights of the target.',
      source: 'Olive ee6f40f, QuarkQuantizationVitisAI: w_uint4_per_group_asym',
    },
    'scale-sign': null,
    'stripped-pairs': null,
    'matmul-operand': null,
  },
};
