import type { GenaiVersion } from './genai-versions.js';
import type { QuantizationArgs } from './scheme.js';

/** Settings of a conversion, complete: what the command line says and the defaults of the target. */
export interface ConvertOptions {
  target: string;
  /** Scheme of each role. `float` (norms, biases, routers, rotary tables) is always f32. */
  weights: QuantizationArgs;
  embeddings: QuantizationArgs;
  lmHead: QuantizationArgs;
  /** Globs on weight names: which get `weights` at all, which stay f32, and which get another scheme. */
  only: string[];
  skip: string[];
  overrides: { pattern: string; scheme: QuantizationArgs }[];
  /** accuracy_level of MatMulNBits: 0 unset, 1 float32, 4 int8 activations. */
  accuracyLevel: number;
  contextLength: number;
  /** Tokens of a prompt window on an NPU. */
  prefill: number;
  activations: 'uint16' | 'f16' | 'f32';
  attention: 'npu' | 'gqa';
  mla: 'latent' | 'expanded';
  /** `auto`: QMoE where the groups divide the experts' sizes, else plain operators. */
  experts: 'auto' | 'qmoe' | 'plain';
  /** Release of ONNX Runtime GenAI whose fields and model types are written; default: those that all releases read. */
  runtime?: GenaiVersion;
  /** Name under which Foundry Local lists the package in its cache. */
  foundry?: string;
}

/** Settings of `quantize`, complete. */
export interface QuantizeOptions {
  layout: string;
  args: QuantizationArgs;
  only: string[];
  skip: string[];
  overrides: { pattern: string; scheme: QuantizationArgs }[];
  /** A model of a family that is not drawn goes by the names of its tensors. */
  unknownArchitecture?: boolean;
  /** More bits for the first and last eighth of the layers, v_proj and down_proj. */
  mixed: QuantizationArgs | null;
  /** A mix that the layout has by name, as q4_k_m; `args` is its scheme of most matrices. */
  mix?: string;
  /** Bytes of tensors in a file, unless one tensor is larger; null for one file. */
  maxShardBytes: number | null;
}
