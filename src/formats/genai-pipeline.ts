import { join } from 'node:path';
import type { DecoderConfig } from '../core/architecture.js';
import type { Checkpoint } from '../core/checkpoint.js';
import type { JsonObject } from '../core/json.js';
import type { ConvertOptions } from '../core/options.js';
import type { PlannedGraph } from '../core/plan.js';
import { searchSettings, tokenIds } from './genai-config.js';
import { LARGEST } from './input-file.js';
import { readJsonObject } from './text.js';

/** What is read of a tokenizer.json: a vocabulary by token or as a list, and the tokens added to it. */
interface TokenizerJson {
  model?: { vocab?: Record<string, number> | unknown[] };
  added_tokens?: { id?: number; content?: string; special?: boolean }[];
}

/** Special tokens that texts never hold, by their customary names: `<pad>`, `<|vision_pad|>`, `<|reserved_special_token_0|>`. */
const FILLERS = [/pad/i, /reserved|unused/i];

/** The largest id of a tokenizer. */
function largestTokenId({ model, added_tokens = [] }: TokenizerJson): number {
  const vocabulary = model?.vocab ?? {};
  let largest = Array.isArray(vocabulary) ? vocabulary.length - 1 : -1;
  if (!Array.isArray(vocabulary)) for (const id of Object.values(vocabulary)) largest = Math.max(largest, id);
  for (const { id } of added_tokens) largest = Math.max(largest, id ?? -1);
  return largest;
}

/**
 * The id that fills a prompt up to whole windows. The runtime finds the prompt's end by looking for the first pad id,
 * so one that also ends or begins texts would cut a prompt. Then the first of these is taken: a special token for
 * padding, the vocabulary's last id where the tokenizer never makes it, a reserved special token, the configured id.
 */
export function padTokenId(checkpoint: Pick<Checkpoint, 'dir' | 'config' | 'generationConfig'>, vocabulary: number) {
  const ids = tokenIds(checkpoint);
  const ends = [ids.eos_token_id, ids.bos_token_id].flat();
  if (ids.pad_token_id !== null && !ends.includes(ids.pad_token_id)) return ids.pad_token_id;
  const tokenizer = readJsonObject(join(checkpoint.dir, 'tokenizer.json'), LARGEST.lists) as TokenizerJson | undefined;
  if (!tokenizer) return ids.pad_token_id;
  const special = (tokenizer.added_tokens ?? []).filter(
    ({ id, special }) => special === true && id !== undefined && id < vocabulary && !ends.includes(id),
  );
  const [padding, reserved] = FILLERS.map((name) => special.find(({ content }) => name.test(content ?? ''))?.id);
  const spare = largestTokenId(tokenizer) < vocabulary - 1 ? vocabulary - 1 : undefined;
  return padding ?? spare ?? reserved ?? ids.pad_token_id;
}

/** genai_config.json of a pipeline of graphs (onnxruntime-genai src/config.h, `decoder-pipeline`). */
export function genaiPipelineConfig(
  checkpoint: Checkpoint,
  config: DecoderConfig,
  options: ConvertOptions,
  graphs: PlannedGraph[],
): string {
  const ids = { ...tokenIds(checkpoint), pad_token_id: padTokenId(checkpoint, config.vocab_size) };
  const cache = graphs.flatMap(({ graph }) => graph.inputs).find(({ name }) => name === 'past_keys_0');
  const stages = graphs.flatMap(({ file, graph, pipeline }) => {
    if (!pipeline) return [];
    const { name, ...settings } = pipeline;
    const names = (values: { name: string }[]) => values.map((each) => each.name);
    const stage = { filename: file, inputs: names(graph.inputs), outputs: names(graph.outputs), ...settings };
    return [[name, stage] as const];
  });
  const content: JsonObject = {
    model: {
      ...Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== null)),
      context_length: options.contextLength,
      decoder: {
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        head_size: (cache?.shape[3] as number | undefined) ?? config.head_dim,
        hidden_size: config.hidden_size,
        inputs: {
          input_ids: 'input_ids',
          past_key_names: 'past_keys_%d',
          past_value_names: 'past_values_%d',
          past_sequence_length: 'past_seq_len',
          total_sequence_length: 'total_seq_len',
        },
        outputs: { logits: 'logits', present_key_names: 'present_keys_%d', present_value_names: 'present_values_%d' },
        num_attention_heads: config.num_attention_heads,
        num_hidden_layers: config.num_hidden_layers,
        num_key_value_heads: (cache?.shape[1] as number | undefined) ?? config.num_key_value_heads,
        sliding_window: {
          window_size: options.prefill,
          pad_value: 0,
          alignment: 'left',
          slide_inputs: true,
          slide_key_value_cache: false,
        },
        pipeline: [Object.fromEntries(stages) as JsonObject],
      },
      type: 'decoder-pipeline',
      vocab_size: config.vocab_size,
    },
    search: {
      ...searchSettings(checkpoint.generationConfig, options.contextLength),
      past_present_share_buffer: true,
    },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
