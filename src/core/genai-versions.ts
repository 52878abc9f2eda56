/**
 * What releases of ONNX Runtime GenAI read, from their sources: model types of src/models/model_type.h (`LLM`) at the
 * tags v0.13.0 (v0.13.2 has the same), v0.15.2 and at a0c04eb, which became 0.16.
 */
export const GENAI_VERSIONS = ['0.13', '0.15', '0.16'] as const;
export type GenaiVersion = (typeof GENAI_VERSIONS)[number];

const SINCE_0_13 = [
  ...['chatglm', 'decoder', 'ernie4_5', 'gemma', 'gemma2', 'gemma3_text', 'gpt2', 'gptoss', 'granite', 'internlm2'],
  ...['llama', 'mistral', 'nemotron', 'olmo', 'phi', 'phimoe', 'phi3', 'phi3small', 'qwen2', 'qwen3', 'smollm3'],
];
const SINCE_0_15 = [...SINCE_0_13, ...['gemma4_text', 'hunyuandensev1', 'lfm2', 'qwen3_5_moe_text', 'qwen3_5_text']];
const MODEL_TYPES: Record<GenaiVersion, ReadonlySet<string>> = {
  '0.13': new Set(SINCE_0_13),
  '0.15': new Set(SINCE_0_15),
  '0.16': new Set([...SINCE_0_15, 'granitemoehybrid']),
};

/** The type of a decoder whose family the runtime does not know: in every list, and bound to no family. */
export const GENERIC_TYPE = 'decoder';

/** Releases that a package is written for: the one that was named, else all. */
export const versionsOf = (version: GenaiVersion | undefined): readonly GenaiVersion[] =>
  version === undefined ? GENAI_VERSIONS : [version];

/** Releases that refuse a model type ("Unsupported model_type"). */
export const refusingType = (type: string, versions: readonly GenaiVersion[] = GENAI_VERSIONS): GenaiVersion[] =>
  versions.filter((version) => type !== 'decoder-pipeline' && !MODEL_TYPES[version].has(type));

/** `model.type` of a family: its own name where every release in question knows it, else that of any decoder. */
export const genaiModelType = (family: string, version?: GenaiVersion): string =>
  refusingType(family, versionsOf(version)).length === 0 ? family : GENERIC_TYPE;
