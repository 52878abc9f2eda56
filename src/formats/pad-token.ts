import { join } from 'node:path';
import type { Checkpoint } from '../core/checkpoint.js';
import type { Json, JsonObject } from '../core/json.js';
import { LARGEST } from './input-file.js';
import { readJsonObject } from './text.js';

/** Token ids of a checkpoint: generation_config.json goes before config.json; a list of eos ids stays a list. */
export function tokenIds(checkpoint: Pick<Checkpoint, 'config' | 'generationConfig'>) {
  const id = (key: string): Json => checkpoint.generationConfig[key] ?? checkpoint.config[key] ?? null;
  const eos = id('eos_token_id');
  return {
    bos_token_id: id('bos_token_id'),
    eos_token_id: eos,
    pad_token_id: id('pad_token_id') ?? (Array.isArray(eos) ? eos[0] : eos),
  };
}

/** Whether a pad id stands for padding alone: an id of the vocabulary that neither begins nor ends texts. */
export function padsOnly(ids: ReturnType<typeof tokenIds>, vocabulary: number): boolean {
  const { pad_token_id: pad, bos_token_id: bos, eos_token_id: eos } = ids;
  return typeof pad === 'number' && pad >= 0 && pad < vocabulary && ![eos, bos].flat().includes(pad);
}

/** Special tokens that texts rarely hold, by their customary names: `<pad>`, `<|vision_pad|>`, `<|reserved_special_token_0|>`. */
const FILLERS = [/pad/i, /reserved|unused/i];

/** Bytes that UTF-8 never has (RFC 3629). */
const NO_TEXT = [0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7, 0xf6, 0xf5, 0xc1, 0xc0];

/** What is read of a tokenizer.json: a vocabulary by token or as a list of [token, score], and the tokens added to it. */
interface TokenizerJson {
  model?: { vocab?: Record<string, number> | [string, number][]; byte_fallback?: boolean };
  pre_tokenizer?: JsonObject | null;
  decoder?: JsonObject | null;
  added_tokens?: { id?: number; content?: string; special?: boolean }[];
}

/** Whether a step of a tokenizer, or one inside of it, is of this type. */
function hasStep(step: Json | undefined, type: string): boolean {
  if (Array.isArray(step)) return step.some((each) => hasStep(each, type));
  if (typeof step !== 'object' || step === null) return false;
  return step.type === type || hasStep(step.pretokenizers, type) || hasStep(step.decoders, type);
}

/**
 * The token of a byte that no text has: byte-level vocabularies spell these bytes as the letters of the same number
 * (GPT-2's bytes_to_unicode), byte fallback as `<0xFF>`.
 */
function unheardByte({ model, pre_tokenizer, decoder }: TokenizerJson, vocabulary: number): number | undefined {
  const byteLevel = hasStep(pre_tokenizer, 'ByteLevel') || hasStep(decoder, 'ByteLevel');
  if (!byteLevel && !model?.byte_fallback) return undefined;
  const spelled = (byte: number) =>
    byteLevel ? String.fromCharCode(byte) : `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  const vocab = model?.vocab ?? {};
  const idOf = (token: string): number | undefined => {
    if (!Array.isArray(vocab)) return Object.hasOwn(vocab, token) ? vocab[token] : undefined;
    const at = vocab.findIndex(([piece]) => piece === token);
    return at < 0 ? undefined : at;
  };
  return NO_TEXT.map((byte) => idOf(spelled(byte))).find((id) => id !== undefined && id < vocabulary);
}

/** The largest id of a tokenizer. */
function largestTokenId({ model, added_tokens = [] }: TokenizerJson): number {
  const vocabulary = model?.vocab ?? {};
  let largest = Array.isArray(vocabulary) ? vocabulary.length - 1 : -1;
  if (!Array.isArray(vocabulary)) for (const id of Object.values(vocabulary)) largest = Math.max(largest, id);
  for (const { id } of added_tokens) largest = Math.max(largest, id ?? -1);
  return largest;
}

/**
 * The id that fills prompts up. ONNX Runtime GenAI takes the first pad id of a pipeline's prompt, and those that end a
 * prompt of a batch, for padding, so that one which also begins or ends texts would cut a prompt. Then the first of these
 * is taken: the token of a byte that no text has, the vocabulary's last id where the tokenizer never makes it, a special
 * token for padding, a reserved one, the configured id.
 */
export function padTokenId(
  checkpoint: Pick<Checkpoint, 'dir' | 'config' | 'generationConfig'>,
  vocabulary: number,
): Json {
  const ids = tokenIds(checkpoint);
  if (padsOnly(ids, vocabulary)) return ids.pad_token_id;
  const tokenizer = readJsonObject(join(checkpoint.dir, 'tokenizer.json'), LARGEST.lists) as TokenizerJson | undefined;
  if (!tokenizer) return ids.pad_token_id;
  const ends = [ids.eos_token_id, ids.bos_token_id].flat();
  const free = (id: number | undefined) => id !== undefined && id < vocabulary && !ends.includes(id);
  const special = (tokenizer.added_tokens ?? []).filter(({ id, special }) => special === true && free(id));
  const [padding, reserved] = FILLERS.map((name) => special.find(({ content }) => name.test(content ?? ''))?.id);
  const spare = largestTokenId(tokenizer) < vocabulary - 1 && free(vocabulary - 1) ? vocabulary - 1 : undefined;
  return unheardByte(tokenizer, vocabulary) ?? spare ?? padding ?? reserved ?? ids.pad_token_id;
}
