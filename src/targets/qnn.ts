import type { Target } from '../core/target.js';
import { QNN } from './lint/devices.js';
import { lintFor } from './lint/lint.js';
import { CHANNEL_SCHEME, checkPipelineOptions, END_SCHEME, staticContextLength } from './pipeline/options.js';
import { PIPELINE_OPSETS, pipelineStages } from './pipeline/stages.js';

/** Options of the QNN provider for the HTP of Copilot+ PCs (onnxruntime-genai's published packages). */
const SESSION_OPTIONS = {
  log_id: 'onnxruntime-genai',
  provider_options: [
    {
      qnn: {
        backend_path: 'QnnHtp.dll',
        htp_performance_mode: 'burst',
        htp_graph_finalization_optimization_mode: '3',
        soc_model: '60',
      },
    },
  ],
};

/**
 * Qualcomm's HTP through ONNX Runtime's QNN provider: a decoder pipeline with symmetric int4 weights per channel and
 * uint16 activations. Operators are those of the provider's HTP builder (onnxruntime-qnn, March 2026).
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
  operators: QNN.operators,
  contextLength: staticContextLength,
  check: checkPipelineOptions,
  stages: (options, drawn, ranges) => pipelineStages(options, drawn, ranges, SESSION_OPTIONS),
  lint: lintFor(QNN),
} satisfies Target;
