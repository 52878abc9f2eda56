import { InvalidInputError } from '../../core/errors.js';
import type { Json, JsonObject } from '../../core/json.js';
import { familyOf } from './families.js';

const isEmpty = (value: Json | undefined) =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0);

/**
 * Refuses a model that llama.cpp would run as another one, and names what it passes over: sliding windows that its
 * graph of the architecture does not have, which matter only beyond the window.
 */
export function llamaCppLimits(config: JsonObject): string[] {
  const { arch } = familyOf(config);
  const refuse = (key: string, needed: string) => {
    throw new InvalidInputError(
      `config.json: "${key}" is ${JSON.stringify(config[key] ?? null)}; llama.cpp's ${arch} has ${needed} only.`,
      'run this model from another layout.',
    );
  };
  if (arch === 'qwen3moe') {
    if (config.norm_topk_prob !== true) refuse('norm_topk_prob', 'true');
    if (!isEmpty(config.mlp_only_layers)) refuse('mlp_only_layers', 'none');
    if (config.decoder_sparse_step !== 1) refuse('decoder_sparse_step', '1');
  }
  if (arch === 'gemma2') {
    const expected =
      config.num_hidden_layers === 46
        ? (config.hidden_size as number) / (config.num_attention_heads as number)
        : config.head_dim;
    if (config.query_pre_attn_scalar !== expected) refuse('query_pre_attn_scalar', `${expected}`);
  }
  if (arch === 'deepseek2' && typeof config.q_lora_rank !== 'number') {
    // llama.cpp tells models without q_lora by their number of layers (src/models/deepseek2.cpp)
    const layers = config.num_hidden_layers as number;
    const isKnown = layers === 26 || layers === 27 || (layers === 48 && config.vocab_size === 128256);
    if (!isKnown) refuse('q_lora_rank', 'a number, but for models of 26 or 27 layers,');
  }
  const window = config.sliding_window;
  const slides =
    typeof window === 'number' &&
    (['mistral', 'mixtral', 'phi3'].includes(String(config.model_type)) || config.use_sliding_window === true);
  return slides && arch !== 'gemma2'
    ? [
        `llama.cpp's ${arch} has no sliding window: beyond ${window} tokens it sees more than this model did in training.`,
      ]
    : [];
}
