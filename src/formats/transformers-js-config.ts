import { posix } from 'node:path';
import type { DecoderConfig } from '../core/architecture.js';
import type { Checkpoint } from '../core/checkpoint.js';
import type { PlannedGraph } from '../core/plan.js';

/** Families that transformers.js 4.3.2 loads as causal language models under their own names (src/models/registry.js). */
const KNOWN = new Set([
  ...['apertus', 'arcee', 'cohere', 'cohere2', 'deepseek_v3', 'ernie4_5', 'gemma', 'gemma2', 'gemma3_text', 'glm'],
  ...['gpt_oss', 'granite', 'llama', 'ministral', 'ministral3', 'mistral', 'olmo', 'olmo2', 'olmo3', 'phi', 'phi3'],
  ...['qwen2', 'qwen2_moe', 'qwen3', 'qwen3_moe', 'smollm3', 'starcoder2'],
]);
/** Families with latent attention; those with another name are told apart by nothing that the library reads. */
const LATENT = new Set(['deepseek_v2']);

const modelType = (family: string) => (KNOWN.has(family) ? family : LATENT.has(family) ? 'deepseek_v3' : 'llama');

/** The dtype that a model file's name stands for (src/utils/dtypes.js). */
const DTYPES: Record<string, string> = { '': 'fp32', _fp16: 'fp16', _quantized: 'q8', _q4: 'q4', _q4f16: 'q4f16' };

/**
 * config.json of a package for transformers.js 4.3: the checkpoint's, with which model file is there, how many data
 * files it has, and in which type its cache is. Names and shapes of the cache it reads from the graph.
 */
export function transformersJsConfig(
  { config }: Checkpoint,
  { model_type, head_dim, num_key_value_heads, num_attention_heads, num_hidden_layers }: DecoderConfig,
  [{ file, graph, external }]: PlannedGraph[],
): string {
  const { quantization_config: _, ...kept } = config;
  const name = posix.basename(file);
  const dtype = DTYPES[name.replace(/^model|\.onnx$/g, '')];
  const files = new Set(Object.values(external).map((place) => place.file));
  const cache = graph.inputs.find((each) => each.name.startsWith('past_key_values.'));
  const content = {
    ...kept,
    model_type: modelType(model_type),
    head_dim: (cache?.shape[3] as number | undefined) ?? head_dim,
    num_attention_heads,
    num_hidden_layers,
    num_key_value_heads: (cache?.shape[1] as number | undefined) ?? num_key_value_heads,
    'transformers.js_config': {
      dtype,
      use_external_data_format: { [name]: files.size },
      kv_cache_dtype: { [dtype]: cache?.dtype === 'FLOAT16' ? 'float16' : 'float32' },
    },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
