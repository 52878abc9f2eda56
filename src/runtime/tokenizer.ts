import { InvalidInputError } from '../core/errors.js';
import type { TokenizerFiles } from '../formats/tokenizer-files.js';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** Text that comes token by token and never as half a character. */
export interface TextStream {
  /** Text that the id completes; empty while a character or a merge is still open. */
  push(id: number): string;
  /** What is still held back, with U+FFFD for bytes that never became a character. */
  end(): string;
}

/** Text to ids and back, with the special tokens that transformers would add. */
export interface TextTokenizer {
  /** Ids of a text, with the tokens that the tokenizer puts around one (bos where the model has it). */
  encode(text: string): number[];
  /** Ids of a text as it stands; names of special tokens in it become those tokens. */
  encodePlain(text: string): number[];
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** A stream of text that continues `before` (the prompt's ids), so that spaces at the seam are right. */
  stream(before: readonly number[]): TextStream;
  /** The prompt of a conversation that the model shall answer. Throws InvalidInputError without a chat template. */
  applyChatTemplate(messages: readonly ChatMessage[]): Promise<string>;
}

/** Loads a tokenizer. Throws InvalidInputError where its files are not understood. */
export async function openTokenizer(files: TokenizerFiles, where: string): Promise<TextTokenizer> {
  const { Tokenizer } = await import('@huggingface/tokenizers');
  let inner: InstanceType<typeof Tokenizer>;
  try {
    inner = new Tokenizer(files.tokenizer, files.config);
  } catch (error) {
    throw new InvalidInputError(
      `${where}/tokenizer.json: not a tokenizer that is understood here: ${(error as Error).message}`,
      'copy the tokenizer files again, or pass token ids with --ids.',
    );
  }
  const bos = tokenText(files.config.bos_token);
  const eos = tokenText(files.config.eos_token);

  const encode = (text: string, withSpecialTokens: boolean): number[] => {
    const { ids, tokens } = inner.encode(text, { add_special_tokens: withSpecialTokens });
    const at = ids.findIndex((id: number) => !Number.isInteger(id));
    if (at >= 0) {
      throw new InvalidInputError(
        `the tokenizer of ${where} has no token for "${tokens[at]}" and none for unknown text.`,
        'leave this character out.',
      );
    }
    return ids;
  };
  // The decoder's clean-up removes spaces before punctuation: it loses what the model wrote and cannot be streamed.
  const decode = (ids: readonly number[]): string =>
    ids.length === 0 ? '' : inner.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false });

  return {
    encode: (text) =>
      addEnds(encode(text, true), encode(text, false), files.config, {
        bos: bos === null ? undefined : inner.token_to_id(bos),
        eos: eos === null ? undefined : inner.token_to_id(eos),
      }),
    encodePlain: (text) => encode(text, false),
    decode,
    stream: (before) => textStream(decode, before),
    async applyChatTemplate(messages) {
      if (files.chatTemplate === null) {
        throw new InvalidInputError(
          `${where}: the tokenizer has no chat template (chat_template in tokenizer_config.json, or chat_template.jinja).`,
          'leave --chat out and write the prompt as the model expects it.',
        );
      }
      const { Template } = await import('@huggingface/jinja');
      try {
        return new Template(files.chatTemplate).render({
          messages,
          add_generation_prompt: true,
          bos_token: bos ?? '',
          eos_token: eos ?? '',
          tools: null,
        });
      } catch (error) {
        throw new InvalidInputError(
          `${where}: the chat template refuses these messages: ${(error as Error).message}`,
          'leave --chat or --system out.',
        );
      }
    },
  };
}

/**
 * What transformers does with `add_bos_token` and `add_eos_token`: where tokenizer_config.json states them they decide,
 * whatever the post-processor of tokenizer.json says; otherwise that post-processor decides.
 */
function addEnds(
  ids: number[],
  plain: readonly number[],
  config: TokenizerFiles['config'],
  { bos, eos }: { bos: number | undefined; eos: number | undefined },
): number[] {
  // Compared with the plain ids, because a text may itself begin with the name of the bos token.
  const startsWithOwnBos = ids.length > plain.length && ids[0] === bos;
  const endsWithOwnEos = ids.length > plain.length && ids.at(-1) === eos;
  let result = ids;
  if (bos !== undefined && config.add_bos_token === true && !startsWithOwnBos) result = [bos, ...result];
  if (config.add_bos_token === false && startsWithOwnBos) result = result.slice(1);
  if (eos !== undefined && config.add_eos_token === true && !endsWithOwnEos) result = [...result, eos];
  return result;
}

/** Special tokens are written as strings or as objects with their content. */
function tokenText(token: unknown): string | null {
  if (typeof token === 'string') return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : null;
}

/** Ids of the text before that are decoded along: enough for any rule about the first token of a text. */
const SEAM = 8;

/**
 * Decodes a growing text in small windows: each window starts where the last one that ended on a whole character
 * started to print, so that decoders which treat a first token differently see the same start twice (vLLM's
 * detokenize_incrementally).
 */
function textStream(decode: (ids: readonly number[]) => string, before: readonly number[]): TextStream {
  let window = before.slice(-SEAM);
  let printed = window.length;
  const unprinted = () => decode(window).slice(decode(window.slice(0, printed)).length);
  return {
    push(id) {
      window.push(id);
      const text = unprinted();
      // U+FFFD at the end: the bytes of a character that is not complete yet.
      if (text.length === 0 || text.endsWith('\uFFFD')) return '';
      window = window.slice(printed);
      printed = window.length;
      return text;
    },
    end() {
      const text = unprinted();
      window = [];
      printed = 0;
      return text;
    },
  };
}
