import type { GgufMetadata } from '../../core/gguf.js';
import { isObject, type Json, type JsonObject } from '../../core/json.js';
import type { TokenizerFiles } from '../tokenizer-files.js';

/** A token that tokenizer.json adds to those of its model. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

/** Roles of special tokens, and GGUF's words for them (`seperator` is spelled so there). */
const ROLES = {
  bos: 'bos_token_id',
  eos: 'eos_token_id',
  unk: 'unknown_token_id',
  sep: 'seperator_token_id',
  pad: 'padding_token_id',
  mask: 'mask_token_id',
} as const;

/** Special tokens are written as strings or as objects with their content. */
function contentOf(token: Json | undefined): string | undefined {
  if (typeof token === 'string') return token;
  return isObject(token) && typeof token.content === 'string' ? token.content : undefined;
}

/**
 * Ids of the special tokens, which of them a text gets around it, and the chat template, as llama.cpp's converter takes
 * them (gguf-py/gguf/vocab.py, SpecialVocab): names of tokenizer_config.json among the added tokens, else the ids of
 * config.json; a flag of tokenizer_config.json, else the template of the post-processor.
 */
export function specialTokenKeys(files: TokenizerFiles, added: AddedToken[], config: JsonObject): GgufMetadata {
  const keys: GgufMetadata = {};
  for (const [role, name] of Object.entries(ROLES)) {
    const content = contentOf(files.config[`${role}_token`]);
    const listed = content === undefined ? undefined : added.find((token) => token.content === content)?.id;
    const id = listed ?? config[`${role}_token_id`];
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < (config.vocab_size as number)) {
      keys[`tokenizer.ggml.${name}`] = { type: 'u32', value: id };
    }
  }
  const template = templateOf(files.tokenizer.post_processor);
  const ends = { bos: template?.first, eos: template?.last };
  for (const role of ['bos', 'eos'] as const) {
    const stated = files.config[`add_${role}_token`];
    const own = contentOf(files.config[`${role}_token`]);
    const adds = typeof stated === 'boolean' ? stated : ends[role] === undefined ? undefined : ends[role] === own;
    if (adds !== undefined) keys[`tokenizer.ggml.add_${role}_token`] = { type: 'bool', value: adds };
  }
  if (files.chatTemplate !== null) keys['tokenizer.chat_template'] = { type: 'string', value: files.chatTemplate };
  return keys;
}

/** The special tokens that a post-processor puts before and after a text. */
function templateOf(processor: Json | undefined): { first: string | undefined; last: string | undefined } | undefined {
  if (!isObject(processor)) return undefined;
  const all = Array.isArray(processor.processors) ? processor.processors.filter(isObject) : [processor];
  const single = all.find((each) => each.type === 'TemplateProcessing')?.single;
  if (!Array.isArray(single) || single.length < 2) return undefined;
  const id = (entry: Json | undefined) => {
    const token = isObject(entry) ? entry.SpecialToken : undefined;
    return isObject(token) && typeof token.id === 'string' ? token.id : undefined;
  };
  return { first: id(single[0]), last: id(single.at(-1)) };
}
