import type { Json, JsonObject } from '../../core/json.js';

/** Tokens of Phi-3 that keep the spaces after them; every other special token there swallows them. */
const KEEPING = ['<unk>', '<s>', '<|endoftext|>'];

/**
 * Whether special tokens swallow the spaces after them as Phi-3's do (tokenizer.json of Phi-3-mini: `rstrip`). llama.cpp
 * has just this one pattern, tells it by the model's name, and cannot load the model where one of its tokens is missing
 * (src/llama-vocab.cpp).
 */
export function swallowsSpacesAsPhi3(addedTokens: Json | undefined): boolean {
  const added = (Array.isArray(addedTokens) ? addedTokens : []) as { content: string; rstrip?: boolean }[];
  const has = (token: string) => added.some(({ content }) => content === token);
  if (![...KEEPING, '</s>'].every(has)) return false;
  return added.every(({ content, rstrip }) => (rstrip === true) !== KEEPING.includes(content));
}

/**
 * `general.name`: the model's name where config.json has one, else its family; nothing of the file depends on a path.
 * "phi3" or "phi-3" is in it exactly where llama.cpp shall read special tokens as Phi-3's (`isPhi3`).
 */
export function ggufName(config: JsonObject, isPhi3: boolean): string {
  const stated = config._name_or_path;
  const last = typeof stated === 'string' ? stated.split('/').filter(Boolean).at(-1) : undefined;
  const name = last ?? String(config.model_type);
  if (!isPhi3) return name.replace(/(phi)-?(?=3)/gi, '$1 ');
  return /phi-?3/i.test(name) ? name : `${name} phi3`;
}
