import type { Dtype } from './dtype.js';
import type { JsonObject } from './json.js';

/** Where a stored tensor's bytes are, never the bytes. `offset` counts from the start of `file` (an absolute path). */
export interface TensorRef {
  name: string;
  dtype: Dtype;
  shape: number[];
  file: string;
  offset: number;
  nbytes: number;
}

/** An input file of a checkpoint: its name inside the directory, its size, SHA-256 of its safetensors header. */
export interface CheckpointFile {
  name: string;
  size: number;
  headerSha256: string;
}

/** A Hugging Face checkpoint directory, read from headers alone. `tensors` holds what is stored, by stored name. */
export interface Checkpoint {
  dir: string;
  config: JsonObject;
  /** Where settings of its quantization stand, if not in quantization_config; `config` has them there. */
  settingsIn?: string;
  generationConfig: JsonObject;
  tensors: ReadonlyMap<string, TensorRef>;
  files: CheckpointFile[];
  /** What a multimodal checkpoint stores besides its text model, which `config` and `tensors` then are; see formats/text-config.ts. */
  leftOut?: { model_type: string; names: string[]; nbytes: number };
  /** Tokenizer and other small files that a package takes over unchanged, names inside `dir`. */
  companions: string[];
  /** What was decided where the directory gives two answers. */
  notes?: string[] | undefined;
}

export interface FileRange {
  file: string;
  offset: number;
  nbytes: number;
}
