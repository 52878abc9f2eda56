import type { Target } from '../core/target.js';
import { OPENVINO } from './lint/devices.js';
import { lintFor } from './lint/lint.js';
import { CHANNEL_SCHEME, checkPipelineOptions, END_SCHEME, staticContextLength } from './pipeline/options.js';
import { PIPELINE_OPSETS, pipelineStages } from './pipeline/stages.js';

/** Options of the OpenVINO provider for the NPU of Core Ultra processors (onnxruntime-genai src/session_options.cpp). */
const SESSION_OPTIONS = {
  log_id: 'onnxruntime-genai',
  provider_options: [{ openvino: { device_type: 'NPU' } }],
};

/**
 * Intel's NPU through ONNX Runtime's OpenVINO provider: the same pipeline of static graphs, with the symmetric int4
 * weights per channel that the device is fast at (intel/onnxruntime #669: 4000 ms a token in groups, 150 ms so).
 */
export default {
  defaults: {
    weights: CHANNEL_SCHEME,
    embeddings: END_SCHEME,
    lmHead: END_SCHEME,
    activations: 'uint16',
    attention: 'npu',
  },
  opsets: PIPELINE_OPSETS,
  operators: OPENVINO.operators,
  contextLength: staticContextLength,
  check: checkPipelineOptions,
  stages: (options, drawn, ranges) => pipelineStages(options, drawn, ranges, SESSION_OPTIONS),
  lint: lintFor(OPENVINO),
} satisfies Target;
