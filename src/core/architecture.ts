import type { Graph } from './graph.js';
import type { Json, JsonObject } from './json.js';
import type { WeightSource } from './weights.js';

/** What every architecture's parsed config has, whatever else it adds. Names are Hugging Face's. */
export interface DecoderConfig {
  model_type: string;
  vocab_size: number;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  max_position_embeddings: number;
  tie_word_embeddings: boolean;
}

/**
 * Config keys of an architecture: those that it reads, those known to change nothing here, and those known to matter
 * but unsupported, each with the values at which it is neutral. Any other key is listed by `inspect`.
 */
export interface ConfigKeys {
  read: string[];
  inert: string[];
  unsupported: Record<string, Json[]>;
  /** Two names of one setting, the first of which wins where both stand (transformers: attribute_map). */
  aliases?: [wins: string, yields: string][];
}

export interface ArchitectureOptions {
  /** Positions that the package serves; rotary tables are that long. */
  contextLength: number;
}

/** A model family: one file that reads like the paper. It knows neither its quantization nor its device. */
export interface Architecture<C extends DecoderConfig = DecoderConfig> {
  keys: ConfigKeys;
  /**
   * Reads a config.json; throws InvalidInputError that names the key. `note` hears which of two answers was taken where
   * the config gives two.
   */
  parseConfig(config: JsonObject, note?: (text: string) => void): C;
  /**
   * The config of a checkpoint that lacks a whole part which its config.json names, and what to say of it; undefined
   * where all is there. `stores` tells whether any tensor has a name that starts so.
   */
  withoutMissingPart?(config: C, stores: (prefix: string) => boolean): { config: C; note: string } | undefined;
  /** Every weight that the graphs use, by its name in the graph; names are the checkpoint's where the two coincide. */
  weights(config: C, options: ArchitectureOptions): Record<string, WeightSource>;
  /** Draws the graph: input_ids [batch_size, sequence_length] to logits, semantic operators only. */
  build(config: C, options: ArchitectureOptions): Graph;
  /** Further graphs of the checkpoint by package name, as `mtp` for multi-token prediction. */
  extraGraphs?(config: C, options: ArchitectureOptions): Record<string, Graph>;
  /** Stored tensors (globs) that a checkpoint of this family may hold and that no graph needs, as rotary buffers. */
  ignored?: string[];
  /** A small config of the family, for tests over the registry. */
  example: JsonObject;
}
