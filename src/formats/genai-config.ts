import type { DecoderConfig } from '../core/architecture.js';
import type { Checkpoint } from '../core/checkpoint.js';
import { genaiModelType } from '../core/genai-versions.js';
import type { Graph } from '../core/graph.js';
import type { Json, JsonObject } from '../core/json.js';
import type { ConvertOptions } from '../core/options.js';
import type { PlannedGraph } from '../core/plan.js';
import { padTokenId, tokenIds } from './pad-token.js';

/** Search settings of onnxruntime-genai with its defaults (src/config.h), in its order. */
export function searchSettings(generation: JsonObject, maxLength: number, sharesBuffer: boolean): JsonObject {
  const keep = (key: string, fallback: Json): Json => generation[key] ?? fallback;
  return {
    diversity_penalty: keep('diversity_penalty', 0),
    do_sample: keep('do_sample', false),
    early_stopping: true,
    length_penalty: keep('length_penalty', 1),
    max_length: maxLength,
    min_length: keep('min_length', 0),
    no_repeat_ngram_size: keep('no_repeat_ngram_size', 0),
    num_beams: keep('num_beams', 1),
    num_return_sequences: keep('num_return_sequences', 1),
    past_present_share_buffer: sharesBuffer,
    repetition_penalty: keep('repetition_penalty', 1),
    temperature: keep('temperature', 1),
    top_k: keep('top_k', 50),
    top_p: keep('top_p', 1),
  };
}

/**
 * Whether the runtime may hand every cache in and out as one buffer: GroupQueryAttention alone updates it in place
 * (builders/base.py sets past_present_share_buffer for it alone).
 */
function sharesBuffer({ inputs, nodes }: Graph): boolean {
  const keys = inputs.filter(({ name }) => name.startsWith('past_key_values.') && name.endsWith('.key'));
  return nodes.filter(({ op }) => op === 'GroupQueryAttention').length === keys.length;
}

/** The token ids that the runtime reads, those that the checkpoint has. */
export function runtimeTokenIds(checkpoint: Checkpoint, { vocab_size }: DecoderConfig): JsonObject {
  const ids = { ...tokenIds(checkpoint), pad_token_id: padTokenId(checkpoint, vocab_size) };
  return Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== null));
}

/** genai_config.json of a package with one decoder graph, as onnxruntime-genai's builder writes it (builders/base.py). */
export function genaiConfig(
  checkpoint: Checkpoint,
  config: DecoderConfig,
  options: ConvertOptions,
  graphs: PlannedGraph[],
): string {
  const { graph } = graphs[0];
  const named = (names: { name: string }[], name: string) => names.some((each) => each.name === name);
  const cache = graph.inputs.find((each) => each.name.startsWith('past_key_values.'));
  const values = named(graph.inputs, 'past_key_values.0.value');
  const content: JsonObject = {
    model: {
      ...runtimeTokenIds(checkpoint, config),
      context_length: options.contextLength,
      decoder: {
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        filename: graphs[0].file,
        head_size: (cache?.shape[3] as number | undefined) ?? config.head_dim,
        hidden_size: config.hidden_size,
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          ...(named(graph.inputs, 'position_ids') ? { position_ids: 'position_ids' } : {}),
          past_key_names: 'past_key_values.%d.key',
          ...(values ? { past_value_names: 'past_key_values.%d.value' } : {}),
        },
        outputs: {
          logits: 'logits',
          present_key_names: 'present.%d.key',
          ...(values ? { present_value_names: 'present.%d.value' } : {}),
        },
        num_attention_heads: config.num_attention_heads,
        num_hidden_layers: config.num_hidden_layers,
        num_key_value_heads: (cache?.shape[1] as number | undefined) ?? config.num_key_value_heads,
      },
      type: genaiModelType(config.model_type, options.runtime),
      vocab_size: config.vocab_size,
    },
    search: searchSettings(checkpoint.generationConfig, options.contextLength, sharesBuffer(graph)),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
