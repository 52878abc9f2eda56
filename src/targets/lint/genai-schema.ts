import * as z from 'zod';

/**
 * genai_config.json of a `decoder-pipeline` as onnxruntime-genai a0c04eb reads it (src/config.h, src/config.cpp): every
 * field with its default and its meaning. Its reader refuses fields that it does not know, and so does this schema.
 */

const whole = z.int();
const count = z.int().positive();
const id = z.int().nonnegative();
const names = z.array(z.string());
/** A field with the reader's default, left as it is where the file has none. */
const field = <T extends z.ZodType>(type: T, meaning: string, otherwise?: unknown) =>
  type.meta({ description: meaning, ...(otherwise === undefined ? {} : { default: otherwise }) }).optional();

/** Options of a provider: texts, handed to it as they are; `device_filtering_options` chooses among devices. */
const provider = z.record(
  z.string(),
  z.union([
    z.string(),
    z.strictObject({
      hardware_device_type: field(z.enum(['cpu', 'gpu', 'npu']), 'kind of device'),
      hardware_device_id: field(whole, 'device'),
      hardware_vendor_id: field(whole, 'vendor of the device'),
    }),
  ]),
);

/** Any other key is a session config entry, which is a text. */
const sessionOptions = z
  .object({
    log_id: field(z.string(), 'name of the session in logs'),
    enable_profiling: field(z.string(), 'prefix of profile files'),
    intra_op_num_threads: field(whole, 'threads inside an operator'),
    inter_op_num_threads: field(whole, 'threads between operators'),
    log_severity_level: field(whole, 'least severe message that is logged'),
    log_verbosity_level: field(whole, 'how much is logged'),
    enable_cpu_mem_arena: field(z.boolean(), 'whether the CPU keeps an arena'),
    enable_mem_pattern: field(z.boolean(), 'whether memory is planned by pattern'),
    graph_optimization_level: field(
      z.enum(['ORT_DISABLE_ALL', 'ORT_ENABLE_BASIC', 'ORT_ENABLE_EXTENDED', 'ORT_ENABLE_ALL']),
      'optimization of the graph',
    ),
    custom_ops_library: field(z.string(), 'library of custom operators'),
    provider_options: field(
      z.array(z.record(z.string(), provider)),
      'providers in their order, with their options',
      [],
    ),
  })
  .catchall(z.string());

const stage = z.strictObject({
  filename: z.string().meta({ description: 'ONNX file of the stage' }),
  inputs: names.meta({ description: 'inputs of the graph; values flow between stages by name' }),
  outputs: names.meta({ description: 'outputs of the graph' }),
  session_options: field(sessionOptions, 'options of this stage alone'),
  run_options: field(z.record(z.string(), z.string()), 'run config entries'),
  inherit_session_options: field(z.boolean(), 'whether they are laid over those of the decoder', false),
  output_names_forwarder: field(z.record(z.string(), z.string()), 'output -> input of later stages', {}),
  run_on_prompt: field(z.boolean(), 'whether it runs on more than one new token', true),
  run_on_token_gen: field(z.boolean(), 'whether it runs on one new token', true),
  is_lm_head: field(z.boolean(), 'skipped on all but the last window of a prompt', false),
  reset_session_idx: field(whole, 'stage whose session is destroyed before this one loads', -1),
});

const inputs = z.strictObject({
  input_ids: field(z.string(), 'token ids', 'input_ids'),
  inputs_embeds: field(z.string(), 'embeddings in place of ids', 'inputs_embeds'),
  attention_mask: field(z.string(), 'mask', 'attention_mask'),
  position_ids: field(z.string(), 'positions', 'position_ids'),
  past_key_names: field(z.string(), 'keys of layer %d going in', 'past_key_values.%d.key'),
  past_value_names: field(z.string(), 'values of layer %d going in', 'past_key_values.%d.value'),
  past_names: field(z.string(), 'keys and values in one'),
  past_sequence_length: field(z.string(), 'position of the last token of a call', 'past_sequence_length'),
  current_sequence_length: field(z.string(), 'tokens so far', 'current_sequence_length'),
  total_sequence_length: field(z.string(), 'search.max_length', 'total_sequence_length'),
});

const outputs = z.strictObject({
  logits: field(z.string(), 'logits', 'logits'),
  present_key_names: field(z.string(), 'keys of layer %d coming out', 'present.%d.key'),
  present_value_names: field(z.string(), 'values of layer %d coming out', 'present.%d.value'),
  present_names: field(z.string(), 'keys and values in one'),
});

const slidingWindow = z.strictObject({
  window_size: count.meta({ description: 'tokens of a prompt window' }),
  pad_value: field(whole, 'what fills a mask or cache that slides', 0),
  alignment: field(z.enum(['left', 'right']), 'side of a window that holds its tokens', 'right'),
  slide_inputs: field(z.boolean(), 'whether the window slides over the prompt', true),
  slide_key_value_cache: field(z.boolean(), 'whether the cache slides with it', true),
  layers: field(z.array(whole), 'layers with a window of attention', []),
  cache_slack: field(whole, 'positions beyond the window', 0),
});

const decoder = z.strictObject({
  filename: field(z.string(), 'graph of a decoder that is no pipeline'),
  hidden_size: field(count, 'width of hidden states; not read'),
  num_attention_heads: field(count, 'query heads; not read'),
  num_hidden_layers: count.meta({ description: 'layers: how far %d counts' }),
  num_key_value_heads: count.meta({ description: 'heads of the cache' }),
  head_size: count.meta({ description: 'width of a head of the cache' }),
  session_options: field(sessionOptions, 'options of stages without their own', {}),
  run_options: field(z.record(z.string(), z.string()), 'run config entries'),
  inputs: field(inputs, 'names of inputs'),
  outputs: field(outputs, 'names of outputs'),
  sliding_window: field(slidingWindow, 'how a prompt is cut'),
  /** A list of objects with stages, or one object with all of them. */
  pipeline: z.union([z.array(z.record(z.string(), stage)).min(1), z.record(z.string(), stage)]),
});

const model = z.strictObject({
  type: z.string().meta({ description: '"decoder-pipeline"' }),
  tokenizer_dir: field(z.string(), 'directory of the tokenizer', ''),
  vocab_size: count.meta({ description: 'logits of a token' }),
  context_length: count.meta({ description: 'positions' }),
  pad_token_id: field(id, 'fills a prompt up to whole windows; the first one ends the prompt', 0),
  eos_token_id: field(z.union([id, z.array(id).min(1)]), 'ends a text; one or several', 'pad_token_id'),
  bos_token_id: field(id, 'begins a text', 0),
  decoder_start_token_id: field(id, 'begins the text of an encoder’s decoder', 0),
  sep_token_id: field(id, 'separates texts', 0),
  decoder,
});

const search = z.strictObject({
  do_sample: field(z.boolean(), 'whether tokens are drawn; else the likeliest is taken', false),
  min_length: field(id, 'tokens at least', 0),
  max_length: field(id, 'tokens at most, prompt included; 0 for context_length', 0),
  batch_size: field(count, 'prompts at a time', 1),
  num_beams: field(count, 'beams', 1),
  num_return_sequences: field(count, 'texts returned', 1),
  repetition_penalty: field(z.number(), 'penalty of tokens that stand already', 1),
  top_k: field(whole, 'likeliest tokens that are kept', 50),
  top_p: field(z.number(), 'share of probability that is kept; 0 for all', 0),
  temperature: field(z.number(), 'divisor of logits', 1),
  early_stopping: field(z.boolean(), 'whether a beam search ends with enough texts', true),
  no_repeat_ngram_size: field(whole, 'n-grams of this size stand once; 0 for any', 0),
  diversity_penalty: field(z.number(), 'not used', 0),
  length_penalty: field(z.number(), 'exponent of the length in a beam search', 1),
  past_present_share_buffer: field(z.boolean(), 'one buffer of max_length for the cache in and out', false),
  random_seed: field(whole, 'seed; -1 for a random one', -1),
  chunk_size: field(whole, 'tokens of a prompt’s chunk where there is no window'),
});

export const GENAI_CONFIG = z.strictObject({ model, search: search.optional() });

/** What the runtime would refuse in a genai_config.json, as `path: what`. */
export function configIssues(genai: unknown): string[] {
  const { error } = GENAI_CONFIG.safeParse(genai);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
}
