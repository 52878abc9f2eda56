import type { ConfigKeys, DecoderConfig } from '../core/architecture.js';
import { InvalidInputError } from '../core/errors.js';
import type { Json, JsonObject } from '../core/json.js';
import { quoted } from '../core/printable.js';

/** A value as a message names it. */
export const show = (value: Json | undefined): string => (value === undefined ? 'nothing' : quoted(value));

/** Throws InvalidInputError that names the key. */
export function refuse(key: string, found: Json | undefined, needed: string): never {
  throw new InvalidInputError(
    `config.json: "${key}" is ${show(found)}; needed is ${needed}.`,
    `correct "${key}" in config.json, or download it again.`,
  );
}

/**
 * Reads typed values of a config.json. A key that is missing or null takes `fallback`; without one it is an error.
 * `note` hears what was decided where the config gives two answers.
 */
export class ConfigReader {
  constructor(
    readonly config: JsonObject,
    readonly note: (text: string) => void = () => {},
  ) {}

  has(key: string): boolean {
    return this.config[key] !== undefined && this.config[key] !== null;
  }

  /** A positive integer: a size or a count. */
  size(key: string, fallback?: number): number {
    const value = this.config[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
      return refuse(key, value, 'a positive integer');
    }
    return value;
  }

  /** An integer that may be zero. */
  count(key: string, fallback?: number): number {
    const value = this.config[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      return refuse(key, value, 'an integer of 0 or more');
    }
    return value;
  }

  number(key: string, fallback?: number): number {
    const value = this.config[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) return refuse(key, value, 'a number');
    return value;
  }

  positive(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    return value > 0 ? value : refuse(key, value, 'a number above 0');
  }

  /** A null flag is off, whatever the family takes for a missing one. */
  flag(key: string, fallback?: boolean): boolean {
    const { [key]: value = fallback } = this.config;
    if (value === null) return false;
    return typeof value === 'boolean' ? value : refuse(key, value, 'true or false');
  }

  text(key: string, fallback?: string): string {
    const value = this.config[key] ?? fallback;
    return typeof value === 'string' ? value : refuse(key, value, 'a string');
  }

  /** One of `allowed`. */
  choice<T extends string>(key: string, allowed: readonly T[], fallback?: T): T {
    const value = this.config[key] ?? fallback;
    if (!allowed.includes(value as T)) return refuse(key, value, `one of ${allowed.join(', ')}`);
    return value as T;
  }

  strings(key: string): string[] | undefined {
    const value = this.config[key];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value) || value.some((each) => typeof each !== 'string')) {
      return refuse(key, value, 'a list of strings');
    }
    return value as string[];
  }

  integers(key: string): number[] | undefined {
    const value = this.config[key];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value) || value.some((each) => !Number.isSafeInteger(each))) {
      return refuse(key, value, 'a list of integers');
    }
    return value as number[];
  }

  object(key: string): JsonObject | undefined {
    const value = this.config[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'object' || Array.isArray(value)) return refuse(key, value, 'an object');
    return value;
  }
}

/** Keys that every decoder of transformers may carry and that change nothing at inference. */
export const INERT_KEYS = [
  '_attn_implementation_autoset',
  '_name_or_path',
  'architectures',
  'attention_dropout',
  'attn_implementation',
  'auto_map',
  'bos_token_id',
  'cache_implementation',
  'chunk_size_feed_forward',
  'dtype',
  'eos_token_id',
  'initializer_range',
  'is_decoder',
  'model_type',
  'output_attentions',
  'output_hidden_states',
  'pad_token_id',
  'pretraining_tp',
  'quantization',
  'quantization_config',
  'return_dict',
  'torch_dtype',
  'transformers_version',
  'transformers_weights',
  'unsloth_fixed',
  'unsloth_version',
  'use_cache',
];

/** Keys of the sizes that `decoderSizes` reads. */
export const SIZE_KEYS = [
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'max_position_embeddings',
  'tie_word_embeddings',
] as const;

/** What transformers' configuration class of a family takes for a missing key. */
export interface DecoderDefaults {
  max_position_embeddings: number;
  num_key_value_heads?: number;
  head_dim?: number;
  tie_word_embeddings?: boolean;
}

/** The sizes that every decoder has, checked against each other. */
export function decoderSizes(reader: ConfigReader, defaults: DecoderDefaults): DecoderConfig {
  const heads = reader.size('num_attention_heads');
  const hidden = reader.size('hidden_size');
  // transformers: a null count means one for each head, a missing one the default of the class
  const keyValueHeads =
    reader.config.num_key_value_heads === null
      ? heads
      : reader.size('num_key_value_heads', defaults.num_key_value_heads ?? heads);
  if (heads % keyValueHeads !== 0) {
    refuse('num_key_value_heads', keyValueHeads, `a divisor of num_attention_heads, which is ${heads}`);
  }
  if (!reader.has('head_dim') && defaults.head_dim === undefined && hidden % heads !== 0) {
    refuse('hidden_size', hidden, `a multiple of num_attention_heads, which is ${heads}, or a "head_dim"`);
  }
  return {
    model_type: reader.text('model_type'),
    vocab_size: reader.size('vocab_size'),
    hidden_size: hidden,
    num_hidden_layers: reader.size('num_hidden_layers'),
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    head_dim: reader.size('head_dim', defaults.head_dim ?? hidden / heads),
    max_position_embeddings: reader.size('max_position_embeddings', defaults.max_position_embeddings),
    tie_word_embeddings: reader.flag('tie_word_embeddings', defaults.tie_word_embeddings ?? false),
  };
}

const same = (a: Json | undefined, b: Json) => JSON.stringify(a) === JSON.stringify(b);

/** Keys that transformers reads for every decoder, with the values at which they change nothing. */
const UNSUPPORTED_EVERYWHERE: ConfigKeys['unsupported'] = {
  // transformers: create_causal_mask lets every token see every other, also for null
  is_causal: [true],
  is_encoder_decoder: [null, false],
  per_layer_config: [null, {}],
  configuration_files: [null],
};

/** Refuses a config whose known-but-unsupported keys are not at a neutral value, naming the key. */
export function refuseUnsupportedKeys(config: JsonObject, unsupported: ConfigKeys['unsupported'], within = ''): void {
  for (const [key, neutral] of Object.entries(unsupported)) {
    const value = config[key];
    if (value === undefined || neutral.some((each) => same(value, each))) continue;
    throw new InvalidInputError(
      `config.json: "${within}${key}" is ${show(value)}, which this architecture does not support; ` +
        `it must be ${neutral.map(show).join(' or ')}.`,
      'convert a checkpoint without it; dropping the key would give a different model.',
    );
  }
}

/**
 * A config for reading, once what its family cannot draw is refused. A setting with two names is found under both,
 * with the value of the one that wins in transformers.
 */
export function openConfig(config: JsonObject, keys: ConfigKeys, note?: (text: string) => void): ConfigReader {
  const named = { ...config };
  for (const [wins, yields] of keys.aliases ?? []) {
    const [first, second] = [config[wins] ?? undefined, config[yields] ?? undefined];
    if (first !== undefined && second !== undefined && !same(first, second)) {
      note?.(
        `config.json: "${wins}" is ${show(first)} and "${yields}", another name of this setting, ${show(second)}: ` +
          `"${wins}" is taken, as transformers does.`,
      );
    }
    const value = first ?? second;
    if (value !== undefined) named[wins] = named[yields] = value;
  }
  refuseUnsupportedKeys(named, { ...UNSUPPORTED_EVERYWHERE, ...keys.unsupported });
  return new ConfigReader(named, note);
}

/** Keys of a config that an architecture neither reads nor knows to be harmless. */
export function unknownKeys(config: JsonObject, keys: ConfigKeys): string[] {
  const known = new Set([
    ...keys.read,
    ...keys.inert,
    ...(keys.aliases ?? []).flat(),
    ...Object.keys({ ...UNSUPPORTED_EVERYWHERE, ...keys.unsupported }),
  ]);
  return Object.keys(config)
    .filter((key) => !known.has(key))
    .sort();
}

const ATTENTION_KINDS = ['full_attention', 'sliding_attention'] as const;

/** Names of earlier releases of transformers. */
const FORMER_KINDS: Record<string, string> = { attention: 'full_attention' };

/** `layer_types`, checked: one entry for each layer, or undefined where the config has none. */
export function layerTypes(reader: ConfigReader, layers: number): (typeof ATTENTION_KINDS)[number][] | undefined {
  const types = reader.strings('layer_types')?.map((type) => FORMER_KINDS[type] ?? type);
  if (!types) return undefined;
  if (types.length !== layers) refuse('layer_types', types, `a list of ${layers}, one for each layer`);
  for (const type of types) {
    if (!ATTENTION_KINDS.includes(type as 'full_attention')) {
      refuse('layer_types', types, `made of ${ATTENTION_KINDS.join(' and ')}`);
    }
  }
  return types as (typeof ATTENTION_KINDS)[number][];
}

/** The same window for each layer (0: none), in a family for which transformers does not read `layer_types`. */
export function sameWindows(reader: ConfigReader, layers: number, window: number | undefined): number[] {
  const kind = window === undefined ? 'full_attention' : 'sliding_attention';
  if (layerTypes(reader, layers)?.some((type) => type !== kind)) {
    reader.note(
      `config.json: "layer_types" is passed over, as transformers does for this family: every layer has ${kind}` +
        `${window === undefined ? '' : `, a window of ${window}`}.`,
    );
  }
  return new Array(layers).fill(window ?? 0);
}

/** The window of each layer (0: none), from `layer_types` or a rule for its absence. */
export function layerWindows(
  reader: ConfigReader,
  layers: number,
  window: number | undefined,
  slidesByDefault: (layer: number) => boolean,
): number[] {
  const types = layerTypes(reader, layers);
  return Array.from({ length: layers }, (_, layer) => {
    const slides = types ? types[layer] === 'sliding_attention' : window !== undefined && slidesByDefault(layer);
    if (!slides) return 0;
    return (
      window || refuse('sliding_window', reader.config.sliding_window, 'above 0, because there are layers that slide')
    );
  });
}
