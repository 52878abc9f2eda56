import type { Checkpoint, TensorRef } from '../core/checkpoint.js';
import { decoderPlace, partOfDecoder } from '../core/decoder-names.js';
import { isObject, type JsonObject } from '../core/json.js';

/** What transformers 5.18 takes where config.json says nothing. */
interface Wrapper {
  /** The family of the text model. */
  text: string;
  /** Whether the head is tied to the table; `nested`: as text_config says, else not. */
  tied: boolean | 'nested';
}

/**
 * Models around a text model that compute, where a prompt is text alone, what the text model computes by itself: with
 * transformers 5.18 the logits of both are equal to the bit. Others rotate by more than one position (qwen2_vl), see a
 * prompt in both directions (paligemma), or are not known here.
 */
const WRAPPERS: Record<string, Wrapper> = {
  gemma3: { text: 'gemma3_text', tied: true },
  got_ocr2: { text: 'qwen2', tied: true },
  granite_speech: { text: 'granite', tied: true },
  idefics2: { text: 'mistral', tied: false },
  idefics3: { text: 'llama', tied: false },
  internvl: { text: 'qwen2', tied: true },
  lfm2_vl: { text: 'lfm2', tied: true },
  lighton_ocr: { text: 'qwen3', tied: true },
  llava: { text: 'llama', tied: 'nested' },
  llava_next: { text: 'llama', tied: false },
  llava_next_video: { text: 'llama', tied: 'nested' },
  llava_onevision: { text: 'qwen2', tied: 'nested' },
  mistral3: { text: 'mistral', tied: true },
  qwen2_audio: { text: 'qwen2', tied: false },
  smolvlm: { text: 'llama', tied: false },
  video_llava: { text: 'llama', tied: false },
  vipllava: { text: 'llama', tied: false },
  voxtral: { text: 'llama', tied: false },
};

/** Sizes that a text_config leaves out where they are those of transformers' class: it is written as a difference from them. */
const CLASS_SIZES: Record<string, JsonObject> = {
  gemma3_text: sizes(262208, 2304, 9216, 26, 8),
  llama: sizes(32000, 4096, 11008, 32, 32),
  mistral: sizes(32000, 4096, 14336, 32, 32),
  qwen2: sizes(151936, 4096, 22016, 32, 32),
  qwen3: sizes(151936, 4096, 22016, 32, 32),
};

function sizes(vocabulary: number, hidden: number, intermediate: number, layers: number, heads: number): JsonObject {
  return {
    vocab_size: vocabulary,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
  };
}

/** Keys beside text_config that hold for the text model too. */
const SHARED = [
  'bos_token_id',
  'dtype',
  'eos_token_id',
  'pad_token_id',
  'quantization',
  'quantization_config',
  'torch_dtype',
];

/** transformers ties by the outer config; some of its classes take the nested one where that is the one which ties. */
function isTied({ tie_word_embeddings: outer }: JsonObject, nested: JsonObject, { tied }: Wrapper): boolean {
  if (tied === 'nested') return outer === true || nested.tie_word_embeddings === true;
  return (outer ?? tied) === true;
}

export type TextModel = Pick<Checkpoint, 'config' | 'tensors' | 'leftOut'>;

/**
 * The text model of a multimodal checkpoint: the config that is nested in `text_config`, and the tensors of the decoder.
 * Undefined for a config that nests none and for a model that is not known to compute as its text model does.
 */
export function textModel(config: JsonObject, tensors: ReadonlyMap<string, TensorRef>): TextModel | undefined {
  const { model_type: outer, text_config: nested } = config;
  if (!isObject(nested) || typeof outer !== 'string') return undefined;
  const wrapper = Object.hasOwn(WRAPPERS, outer) ? WRAPPERS[outer] : undefined;
  if (!wrapper) return undefined;
  const place = decoderPlace(tensors.keys());
  const kept = new Map([...tensors].filter(([name]) => partOfDecoder(name, place)));
  const left = [...tensors.values()].filter(({ name }) => !kept.has(name));
  const isStored = (prefix: string) => [...kept.keys()].some((name) => name.startsWith(prefix));
  const hasBoth = isStored(`${place.head}lm_head.`) && isStored(`${place.body}embed_tokens.`);
  const family = typeof nested.model_type === 'string' ? nested.model_type : wrapper.text;
  const shared = SHARED.filter((key) => config[key] !== undefined && (nested[key] ?? null) === null);
  return {
    config: {
      ...(Object.hasOwn(CLASS_SIZES, family) ? CLASS_SIZES[family] : {}),
      ...nested,
      ...Object.fromEntries(shared.map((key) => [key, config[key]])),
      model_type: family,
      // a stored head that differs from the table is kept by transformers, whatever is said of the two
      tie_word_embeddings: !hasBoth && isTied(config, nested, wrapper),
    },
    tensors: kept,
    leftOut: {
      model_type: outer,
      names: left.map(({ name }) => name),
      nbytes: left.reduce((sum, { nbytes }) => sum + nbytes, 0),
    },
  };
}
