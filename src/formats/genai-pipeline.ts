import type { DecoderConfig } from '../core/architecture.js';
import type { Checkpoint } from '../core/checkpoint.js';
import type { JsonObject } from '../core/json.js';
import type { ConvertOptions } from '../core/options.js';
import type { PlannedGraph } from '../core/plan.js';
import { runtimeTokenIds, searchSettings } from './genai-config.js';

/** genai_config.json of a pipeline of graphs (onnxruntime-genai src/config.h, `decoder-pipeline`). */
export function genaiPipelineConfig(
  checkpoint: Checkpoint,
  config: DecoderConfig,
  options: ConvertOptions,
  graphs: PlannedGraph[],
): string {
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
      ...runtimeTokenIds(checkpoint, config),
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
          // No layer has this index: on the CPU, 0.16 makes the cache of every layer as short as the window, or of these.
          layers: [config.num_hidden_layers],
        },
        pipeline: [Object.fromEntries(stages) as JsonObject],
      },
      type: 'decoder-pipeline',
      vocab_size: config.vocab_size,
    },
    search: searchSettings(checkpoint.generationConfig, options.contextLength, true),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
