import { UsageError } from '../core/errors.js';
import { printable } from '../core/printable.js';
import { endOfTextIds, openPackage, type Package } from '../formats/package-reader.js';
import { readTokenizerFiles } from '../formats/tokenizer-files.js';
import { type ContinueOptions, continueText, type StopReason } from '../runtime/continue-text.js';
import type { Decoder } from '../runtime/decoder.js';
import { openDecoder } from '../runtime/open-decoder.js';
import { createSampler, type SamplingSettings } from '../runtime/sampler.js';
import { type SamplingRequest, samplingSettings } from '../runtime/sampling-settings.js';
import { openSpeculativeDecoder, type SpeculationCounts } from '../runtime/speculate.js';
import { openTokenizer, type TextTokenizer } from '../runtime/tokenizer.js';

export interface GenerateOptions extends SamplingRequest {
  /** Directory of the package. */
  package: string;
  /** Text to continue; this or `ids`. */
  prompt?: string | undefined;
  /** Token ids to continue; nothing is added to them. */
  ids?: readonly number[] | undefined;
  /** Treats the prompt as what a user says to the model, with the tokenizer's chat template. */
  chat?: boolean | undefined;
  /** System message before it; only with `chat`. */
  system?: string | undefined;
  /** Default 128. */
  maxNewTokens?: number | undefined;
  /** Drafts tokens with the package's multi-token prediction; the text stays that of plain greedy decoding. */
  speculate?: 'mtp' | undefined;
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Gets the text as it comes; without a tokenizer the ids, separated by commas. */
  onText?: ((piece: string) => void) | undefined;
  /** Makes control characters visible in what `onText` gets, so that a model cannot command the terminal. */
  forTerminal?: boolean | undefined;
}

export interface GenerateResult {
  /** New token ids, the end-of-text id included. */
  ids: number[];
  /** Their text without special tokens; null where the package has no tokenizer. */
  text: string | null;
  promptTokens: number;
  newTokens: number;
  stopReason: StopReason;
  /** Tokens a second after the first one; null where there is only one. */
  tokensPerSecond: number | null;
  promptTokensPerSecond: number;
  timeToFirstTokenSeconds: number;
  loadSeconds: number;
  sampling: SamplingSettings;
  /** What the user should know of the tokenizer. */
  notes: readonly string[];
  /** How well drafting did; null without it. */
  speculation: (SpeculationCounts & { acceptanceRate: number | null }) | null;
}

/**
 * Continues a prompt with a package. Throws UsageError for prompts that cannot be (empty, too long, ids outside the
 * vocabulary), InvalidInputError for a damaged package, InterruptedError on `signal`.
 */
export async function generate(options: GenerateOptions): Promise<GenerateResult> {
  const opened = openPackage(options.package);
  checkRequest(options);
  const sampling = samplingSettings(opened.genai.search, options);
  const files = readTokenizerFiles(options.package);
  const tokenizer = files === null ? null : await openTokenizer(files, options.package);
  const prompt = await promptIds(options, tokenizer);

  if (options.speculate && sampling.doSample) {
    throw new UsageError(
      `--speculate ${options.speculate} drafts what greedy decoding would say; these settings sample (temperature ${sampling.temperature}).`,
      'add --greedy, or leave --speculate out.',
    );
  }

  const loadStart = performance.now();
  const decoder = await openText(opened, options);
  const loaded = performance.now();
  try {
    checkPrompt(prompt, decoder);
    const stopIds = endOfTextIds(opened.genai);
    const writer = textWriter(options, tokenizer, prompt);
    const times: number[] = [];
    const { ids, stopReason, counts } = await decoder.continueText(prompt, {
      sampler: createSampler(sampling),
      maxNewTokens: options.maxNewTokens ?? 128,
      stopIds,
      signal: options.signal,
      async onToken(id) {
        times.push(performance.now());
        if (!stopIds.includes(id)) await writer.push(id);
      },
    });
    await writer.end();
    const [first, last] = [times[0] as number, times.at(-1) as number];
    const timeToFirstTokenSeconds = (first - loaded) / 1000;
    return {
      ids,
      text: tokenizer === null ? null : writer.text(),
      promptTokens: prompt.length,
      newTokens: ids.length,
      stopReason,
      tokensPerSecond: ids.length > 1 ? ((ids.length - 1) * 1000) / (last - first) : null,
      promptTokensPerSecond: prompt.length / timeToFirstTokenSeconds,
      timeToFirstTokenSeconds,
      loadSeconds: (loaded - loadStart) / 1000,
      sampling,
      notes: tokenizer?.notes ?? [],
      speculation: counts ? { ...counts, acceptanceRate: acceptanceRate(counts) } : null,
    };
  } finally {
    await decoder.close();
  }
}

/** A package opened to continue texts, token by token or with drafts. */
interface TextDecoder extends Pick<Decoder, 'vocabSize' | 'contextLength' | 'close'> {
  continueText(
    prompt: readonly number[],
    options: ContinueOptions,
  ): Promise<{ ids: number[]; stopReason: StopReason; counts?: SpeculationCounts }>;
}

async function openText(opened: Package, { speculate, threads }: GenerateOptions): Promise<TextDecoder> {
  if (speculate === 'mtp') return openSpeculativeDecoder(opened, { threads });
  const decoder = await openDecoder(opened, { threads });
  return {
    vocabSize: decoder.vocabSize,
    contextLength: decoder.contextLength,
    close: () => decoder.close(),
    continueText: (prompt, settings) => continueText(decoder, prompt, settings),
  };
}

const acceptanceRate = ({ draftedTokens, acceptedTokens }: SpeculationCounts) =>
  draftedTokens > 0 ? acceptedTokens / draftedTokens : null;

function checkRequest(options: GenerateOptions): void {
  if ((options.prompt === undefined) === (options.ids === undefined)) {
    throw new UsageError('a prompt is needed: either --prompt or --ids.', 'halfbyte generate <package> -p "Once upon"');
  }
  if (options.prompt === '' || options.ids?.length === 0) {
    throw new UsageError('the prompt is empty; the model needs something to continue.', 'give at least one word.');
  }
  if (options.chat && options.ids !== undefined) {
    throw new UsageError('--chat writes the prompt itself and takes a text, not --ids.', 'use --prompt with --chat.');
  }
  if (options.system !== undefined && !options.chat) {
    throw new UsageError('--system needs --chat: only a chat template has a place for it.', 'add --chat.');
  }
  const { maxNewTokens } = options;
  if (maxNewTokens !== undefined && !(Number.isInteger(maxNewTokens) && maxNewTokens > 0)) {
    throw new UsageError(`--max-new-tokens is ${maxNewTokens}; it must be a whole number above 0.`);
  }
}

async function promptIds(options: GenerateOptions, tokenizer: TextTokenizer | null): Promise<readonly number[]> {
  if (options.ids !== undefined) return options.ids;
  const prompt = options.prompt as string;
  if (tokenizer === null) {
    throw new UsageError(
      `${options.package}: the package has no tokenizer.json, so it cannot read text.`,
      'pass token ids with --ids 1,2,3, or copy the tokenizer files of the checkpoint into the package.',
    );
  }
  if (!options.chat) return tokenizer.encode(prompt);
  const text = await tokenizer.applyChatTemplate([
    ...(options.system === undefined ? [] : [{ role: 'system' as const, content: options.system }]),
    { role: 'user', content: prompt },
  ]);
  // The template writes bos and the like itself, so none are added (transformers' apply_chat_template does the same).
  return tokenizer.encodePlain(text);
}

function checkPrompt(prompt: readonly number[], decoder: TextDecoder): void {
  const stranger = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= decoder.vocabSize);
  if (stranger !== undefined) {
    throw new UsageError(
      `token id ${stranger} is not in the vocabulary, which has ids 0 to ${decoder.vocabSize - 1}.`,
      'use ids of the tokenizer that belongs to this package.',
    );
  }
  if (prompt.length >= decoder.contextLength) {
    throw new UsageError(
      `the prompt has ${prompt.length} tokens; with at least one new token it must fit in a context of ${decoder.contextLength}.`,
      'use a shorter prompt, or convert with a larger --context-length.',
    );
  }
}

/** Passes new text on as it becomes whole characters, and keeps it. */
function textWriter(options: GenerateOptions, tokenizer: TextTokenizer | null, prompt: readonly number[]) {
  const stream = tokenizer?.stream(prompt);
  let text = '';
  const write = (piece: string) => {
    if (piece === '') return;
    text += piece;
    options.onText?.(options.forTerminal ? printable(piece) : piece);
  };
  return {
    push: async (id: number) => write(stream ? await stream.push(id) : `${text === '' ? '' : ','}${id}`),
    end: async () => write((await stream?.end()) ?? ''),
    text: () => text,
  };
}
