import { isObject, type Json, type JsonObject } from '../core/json.js';
import type { SpecialToken } from './tokenizer-protocol.js';

/**
 * Tokens that tokenizer_config.json knows besides those of tokenizer.json, in the order in which transformers 5 adds
 * them: `added_tokens_decoder` by id, then every `..._token`, then the extra ones. A token with a name is special; one
 * that tokenizer.json has keeps the other flags that it has there. The library passes over what it knows already.
 */
export function specialTokens(config: JsonObject, tokenizer: JsonObject): SpecialToken[] {
  const named = Object.entries(config).filter(([key]) => key.endsWith('_token'));
  const extra = config.extra_special_tokens ?? config.additional_special_tokens;
  const names = new Map(named.map(([, value]) => [tokenText(value), value]));
  const known = new Map(listOf(tokenizer.added_tokens).map((token) => [tokenText(token), token]));
  const numbered = isObject(config.added_tokens_decoder) ? Object.entries(config.added_tokens_decoder) : [];
  const tokens = numbered
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, token]) => tokenOf(token, names.has(tokenText(token)) || (isObject(token) && token.special === true)));
  const decoded = new Set(tokens.map((token) => token?.content));
  for (const [text, token] of names) {
    if (text !== null && !decoded.has(text)) tokens.push(tokenOf(known.get(text) ?? token, true));
  }
  const others = isObject(extra) ? Object.values(extra) : listOf(extra);
  const isNew = (token: Json) => ![known, names, decoded].some((all) => all.has(tokenText(token) as string));
  tokens.push(...others.filter(isNew).map((token) => tokenOf(token, true)));
  return tokens.filter((token) => token !== null);
}

/** Special tokens are written as strings or as objects with their content. */
export function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : null;
}

function tokenOf(token: Json | undefined, isSpecial: boolean): SpecialToken | null {
  const content = tokenText(token);
  if (content === null || content === '') return null;
  const flags = isObject(token) ? token : {};
  return {
    content,
    isSpecial,
    singleWord: flags.single_word === true,
    leftStrip: flags.lstrip === true,
    rightStrip: flags.rstrip === true,
    normalized: typeof flags.normalized === 'boolean' ? flags.normalized : !isSpecial,
  };
}

const listOf = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

/** The tokens with a name, `bos_token` and the like, as transformers gives them to a chat template. */
export function namedTokens(config: JsonObject): Record<string, string> {
  const extra = config.extra_special_tokens;
  const all = { ...config, ...(isObject(extra) ? extra : {}) };
  const named = Object.entries(all).filter(([key]) => key.endsWith('_token') || (isObject(extra) && key in extra));
  const texts = named.map(([key, token]) => [key, tokenText(token)] as const);
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => entry[1] !== null));
}
