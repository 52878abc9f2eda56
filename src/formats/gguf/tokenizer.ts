import { InvalidInputError } from '../../core/errors.js';
import type { GgufMetadata, GgufValue } from '../../core/gguf.js';
import { isObject, type Json, type JsonObject } from '../../core/json.js';
import type { TokenizerFiles } from '../tokenizer-files.js';
import { BY_EXPRESSION, BY_PROBE } from './pretokenizers.js';
import { type AddedToken, specialTokenKeys } from './special-tokens.js';

/** llama.cpp's kinds of tokens (gguf-py/gguf/constants.py, TokenType). */
const NORMAL = 1;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;
const BYTE = 6;

/** The part of tokenizer.json that the keys are made of. */
interface Model {
  type: string;
  vocab: Record<string, number>;
  merges: [string, string][];
  byteFallback: boolean;
}

const list = (type: GgufValue['type'], values: (string | number)[]): GgufValue => ({ type, values });
const text = (value: string): GgufValue => ({ type: 'string', value });

function refuse(found: string): never {
  throw new InvalidInputError(
    `tokenizer.json: ${found}.`,
    "use llama.cpp's own converter for this model, or remove tokenizer.json to write a file without a tokenizer.",
  );
}

/**
 * The tokenizer as llama.cpp reads it. Byte-level BPE becomes model `gpt2` with its merges and the name of its
 * pre-tokenizer; BPE with fallback to bytes, as Llama 2, Mistral and Gemma have it, becomes model `llama`, whose
 * scores say which merge comes first. `probeDigest` encodes PROBE and takes the SHA-256 of the ids.
 * Throws InvalidInputError for another kind of tokenizer.
 */
export async function ggufTokenizer(
  files: TokenizerFiles,
  config: JsonObject,
  probeDigest: () => Promise<string | undefined>,
): Promise<GgufMetadata> {
  const model = modelOf(files.tokenizer);
  const added = addedTokens(files.tokenizer);
  const count = config.vocab_size as number;
  const special = specialTokenKeys(files, added, config);
  return model.byteFallback
    ? { ...pieces(model, added, count, files), ...special }
    : { ...byteLevel(model, added, count, await preTokenizer(files.tokenizer, probeDigest)), ...special };
}

function modelOf(tokenizer: JsonObject): Model {
  const { model } = tokenizer;
  if (!isObject(model) || model.type !== 'BPE' || !isObject(model.vocab) || !Array.isArray(model.merges)) {
    return refuse(
      `its model is ${JSON.stringify((isObject(model) && model.type) || null)}; BPE is what becomes GGUF here`,
    );
  }
  const merges = model.merges.map((merge): [string, string] => {
    // text before transformers 4.45, a pair since
    if (typeof merge === 'string') {
      const space = merge.indexOf(' ', 1);
      return [merge.slice(0, space), merge.slice(space + 1)];
    }
    if (Array.isArray(merge) && typeof merge[0] === 'string' && typeof merge[1] === 'string')
      return [merge[0], merge[1]];
    return refuse('a merge is no pair of tokens');
  });
  return {
    type: 'BPE',
    vocab: model.vocab as Record<string, number>,
    merges,
    byteFallback: model.byte_fallback === true,
  };
}

function addedTokens(tokenizer: JsonObject): AddedToken[] {
  const added = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  return added.map((token) => {
    if (!isObject(token) || typeof token.id !== 'number' || typeof token.content !== 'string') {
      return refuse('an added token has no id or no content');
    }
    return { id: token.id, content: token.content, special: token.special === true };
  });
}

/** Some models do not mark their control tokens (conversion/base.py, does_token_look_special). */
function looksSpecial(token: string): boolean {
  return (
    ['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(token) ||
    /^<\|.*\|>$/s.test(token) ||
    /^<｜.*｜>$/s.test(token) ||
    /^<unused.*>$/s.test(token)
  );
}

/** Tokens and their kinds by id; ids that no token has are filled up. */
function vocabulary(model: Model, added: AddedToken[], count: number): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: count }, (_, id) => `[PAD${id}]`);
  const types: number[] = new Array(count).fill(UNUSED);
  const place = (id: number, token: string, type: number) => {
    if (!Number.isInteger(id) || id < 0 || id >= count) {
      refuse(`token ${JSON.stringify(token)} has the id ${id}; the model has ${count} embeddings`);
    }
    tokens[id] = token;
    types[id] = type;
  };
  for (const [token, id] of Object.entries(model.vocab)) place(id, token, NORMAL);
  for (const { id, content, special } of added) {
    const isControl = special || looksSpecial(content);
    place(id, isControl ? content : content.replaceAll('▁', ' '), isControl ? CONTROL : USER_DEFINED);
  }
  return { tokens, types };
}

function byteLevel(model: Model, added: AddedToken[], count: number, pre: string): GgufMetadata {
  const { tokens, types } = vocabulary(model, added, count);
  // a space inside a token would end it: llama.cpp's converter writes it as byte-level BPE writes the byte
  const written = (part: string) => part.replaceAll(' ', 'Ġ');
  return {
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text(pre),
    'tokenizer.ggml.tokens': list('string', tokens),
    'tokenizer.ggml.token_type': list('i32', types),
    'tokenizer.ggml.merges': list(
      'string',
      model.merges.map((pair) => pair.map(written).join(' ')),
    ),
  };
}

/** Added tokens, bytes and tokens that no merge makes never compete. */
const NO_SCORE = -1000;

function pieces(model: Model, added: AddedToken[], count: number, files: TokenizerFiles): GgufMetadata {
  const { tokens, types } = vocabulary(model, added, count);
  const scores: number[] = new Array(count).fill(NO_SCORE);
  // SentencePiece merges the pair of the highest score first: the earlier a merge, the higher
  for (const [rank, [left, right]] of [...model.merges.entries()].reverse()) {
    const id = model.vocab[left + right];
    if (id !== undefined && types[id] === NORMAL) scores[id] = -rank;
  }
  const isByte = /^<0x[0-9A-Fa-f]{2}>$/;
  for (let id = 0; id < count; id++) if (types[id] === NORMAL && isByte.test(tokens[id])) types[id] = BYTE;
  return {
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.pre': text('default'),
    'tokenizer.ggml.tokens': list('string', tokens),
    'tokenizer.ggml.scores': list('f32', scores),
    'tokenizer.ggml.token_type': list('i32', types),
    'tokenizer.ggml.add_space_prefix': { type: 'bool', value: addsSpace(files) },
  };
}

/** Whether a text gets a space before it, which its first word then has as every other. */
function addsSpace({ tokenizer, config }: TokenizerFiles): boolean {
  if (typeof config.add_prefix_space === 'boolean') return config.add_prefix_space;
  const rules = JSON.stringify([tokenizer.normalizer ?? null, tokenizer.pre_tokenizer ?? null]);
  return (
    /"type":"Prepend"/.test(rules) ||
    /"prepend_scheme":"(first|always)"/.test(rules) ||
    /"add_prefix_space":true/.test(rules)
  );
}

/** The name of the pre-tokenizer: by what it makes of the probe, else by the expression that it splits with. */
async function preTokenizer(tokenizer: JsonObject, probeDigest: () => Promise<string | undefined>): Promise<string> {
  const digest = await probeDigest();
  if (digest !== undefined && Object.hasOwn(BY_PROBE, digest)) return BY_PROBE[digest];
  const steps = stepsOf(tokenizer.pre_tokenizer);
  const expressions = steps.map((step) => (isObject(step.pattern) ? step.pattern.Regex : undefined)).filter(Boolean);
  const [only] = expressions;
  if (expressions.length === 1 && typeof only === 'string' && Object.hasOwn(BY_EXPRESSION, only))
    return BY_EXPRESSION[only];
  const isPlain =
    expressions.length === 0 && steps.length === 1 && steps[0].type === 'ByteLevel' && steps[0].use_regex !== false;
  if (isPlain) return 'gpt-2';
  return refuse(
    `its pre-tokenizer is none that llama.cpp knows by name (${JSON.stringify(tokenizer.pre_tokenizer ?? null).slice(0, 200)})`,
  );
}

function stepsOf(preTokenizer: Json | undefined): JsonObject[] {
  if (!isObject(preTokenizer)) return [];
  return Array.isArray(preTokenizer.pretokenizers) ? preTokenizer.pretokenizers.filter(isObject) : [preTokenizer];
}
