import { InvalidInputError } from '../core/errors.js';
import type { TokenizerFiles } from '../formats/tokenizer-files.js';
import { type ChatMessage, chatPrompt } from './chat-prompt.js';
import { specialTokens, tokenText } from './special-tokens.js';
import { type TextStream, textStream } from './text-stream.js';
import { LibraryTokenizer } from './tokenizer-client.js';

/** Text to ids and back, as the Rust library that transformers uses does it. Calls throw as those of LibraryTokenizer. */
export interface TextTokenizer {
  /** What the user should know of these files. */
  readonly notes: readonly string[];
  /** Ids of a text, with the tokens that the post-processor of tokenizer.json puts around one. */
  encode(text: string): Promise<number[]>;
  /** Ids of a text as it stands; names of special tokens in it become those tokens. */
  encodePlain(text: string): Promise<number[]>;
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): Promise<string>;
  /** The text of each id from 0 to `count` by itself, '' for special tokens. */
  eachText(count: number): Promise<string[]>;
  /** A stream of text that continues `before` (the prompt's ids), so that spaces at the seam are right. */
  stream(before: readonly number[]): TextStream;
  /** The prompt of a conversation that the model shall answer. Throws InvalidInputError without a chat template. */
  applyChatTemplate(messages: readonly ChatMessage[]): Promise<string>;
}

/** Loads a tokenizer. Throws InvalidInputError where its files are not understood. */
export async function openTokenizer(files: TokenizerFiles, where: string): Promise<TextTokenizer> {
  const { config } = files;
  if (config.split_special_tokens === true) {
    throw new InvalidInputError(
      `${where}/tokenizer_config.json: split_special_tokens true cuts the names of special tokens in a text; read here is false.`,
      'remove this key if names of special tokens should become those tokens, or pass token ids.',
    );
  }
  const source = { json: JSON.stringify(files.tokenizer), special: specialTokens(config, files.tokenizer) };
  const library = new LibraryTokenizer(`${where}/tokenizer.json`, source);
  const decode = async (ids: readonly number[]): Promise<string> =>
    ids.length === 0 ? '' : (await library.decode([[...ids]]))[0];
  return {
    notes: endNotes(
      config,
      await library.encode('', true),
      await endIds(config, (text) => library.encode(text, false)),
    ),
    encode: (text) => library.encode(text, true),
    encodePlain: (text) => library.encode(text, false),
    decode,
    eachText: (count) => library.decode(Array.from({ length: count }, (_, id) => [id])),
    stream: (before) => textStream(decode, before),
    applyChatTemplate: (messages) => chatPrompt(files, where, messages),
  };
}

const ENDS = [
  ['add_bos_token', 'bos_token', 'before'],
  ['add_eos_token', 'eos_token', 'after'],
] as const;

async function endIds(
  config: TokenizerFiles['config'],
  encode: (text: string) => Promise<number[]>,
): Promise<(number | undefined)[]> {
  return Promise.all(
    ENDS.map(async ([flag, name]) => {
      const text = tokenText(config[name]);
      const ids = text === null || typeof config[flag] !== 'boolean' ? [] : await encode(text);
      return ids.length === 1 ? ids[0] : undefined;
    }),
  );
}

/**
 * transformers 5 takes no notice of `add_bos_token` and `add_eos_token` beside a tokenizer.json, whose post-processor
 * alone decides; transformers 4 heeded them for some classes. Where the two differ the user should know.
 */
function endNotes(config: TokenizerFiles['config'], added: readonly number[], ids: (number | undefined)[]): string[] {
  return ENDS.flatMap(([flag, name, side], index) => {
    const id = ids[index];
    if (id === undefined) return [];
    const isAdded = (side === 'before' ? added[0] : added.at(-1)) === id;
    if (isAdded === config[flag]) return [];
    return [
      `tokenizer_config.json says ${flag} ${config[flag]}, and the post-processor of tokenizer.json ` +
        `${isAdded ? 'puts' : 'puts no'} ${name} ${side} a text: the post-processor decides, as in transformers 5.`,
    ];
  });
}
