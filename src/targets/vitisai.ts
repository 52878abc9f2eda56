import type { QuantizationArgs } from '../core/scheme.js';
import type { Target } from '../core/target.js';
import { VITISAI } from './lint/devices.js';
import { lintFor } from './lint/lint.js';
import { checkPipelineOptions, END_SCHEME, staticContextLength } from './pipeline/options.js';
import { PIPELINE_OPSETS, pipelineStages } from './pipeline/stages.js';

/** Options of the VitisAI provider for the NPU of Ryzen AI processors (winml-cli's bundles). */
const SESSION_OPTIONS = {
  log_id: 'onnxruntime-genai',
  provider_options: [{ vitisai: { target: 'waic_target_vaiml_cpp_me', xmc_runner_config: '1', no_linear_slice: '1' } }],
};

/** uint4 with a zero point in groups of 128, as AMD's own recipes quantize (Olive's w_uint4_per_group_asym). */
const GROUP_SCHEME: QuantizationArgs = {
  scheme: 'int4',
  strategy: 'group',
  group_size: 128,
  symmetric: false,
  scale_dtype: 'F32',
  algorithm: 'mse',
};

/**
 * AMD's NPU through ONNX Runtime's VitisAI provider: the same pipeline of static graphs with uint4 weights in groups. A
 * row that has no whole, even number of groups is one group.
 */
export default {
  defaults: {
    weights: GROUP_SCHEME,
    embeddings: END_SCHEME,
    lmHead: END_SCHEME,
    activations: 'uint16',
    attention: 'npu',
  },
  opsets: PIPELINE_OPSETS,
  operators: VITISAI.operators,
  contextLength: staticContextLength,
  check: checkPipelineOptions,
  stages: (options, drawn, ranges) => pipelineStages(options, drawn, ranges, SESSION_OPTIONS),
  lint: lintFor(VITISAI),
} satisfies Target;
