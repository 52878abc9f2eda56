import type { Tensor } from 'onnxruntime-node';
import { InterruptedError, UsageError } from '../core/errors.js';
import { operatorsOf, type Package, packageFile } from '../formats/package-reader.js';
import { contextLengthOf, openMainGraph } from './cached-decoder.js';
import { BUILDER_NAMES, type CachedGraph, openCachedGraph } from './cached-graph.js';
import { type ContinueOptions, PROMPT_CHUNK, type StopReason } from './continue-text.js';
import type { KeyValueCache } from './key-value-cache.js';
import type { SessionSettings } from './onnxruntime.js';

/** The graph of multi-token prediction, and the value that the model hands to it. */
export const DRAFT_FILE = 'mtp.onnx';
export const HIDDEN_STATES = 'hidden_states';

/** How well the drafts did. */
export interface SpeculationCounts {
  /** Calls of the model, the prompt's included. */
  modelCalls: number;
  draftedTokens: number;
  acceptedTokens: number;
}

/** A package whose model checks what its multi-token prediction drafts. */
export interface SpeculativeDecoder {
  readonly vocabSize: number;
  readonly contextLength: number;
  /**
   * Continues a prompt as `continueText` does with the same greedy sampler. Each call of the model gets the last token
   * and a draft of the next one: where the draft is what the model says, the call yields two tokens.
   */
  continueText(
    prompt: readonly number[],
    options: ContinueOptions,
  ): Promise<{ ids: number[]; stopReason: StopReason; counts: SpeculationCounts }>;
  close(): Promise<void>;
}

/** Opens model and mtp.onnx of a package. Throws UsageError where it has none. */
export async function openSpeculativeDecoder(opened: Package, settings: SessionSettings): Promise<SpeculativeDecoder> {
  if (operatorsOf(opened, DRAFT_FILE) === null) {
    throw new UsageError(
      `--speculate mtp: ${opened.dir} has no ${DRAFT_FILE}, so nothing can draft tokens.`,
      'leave the option out; only checkpoints with multi-token prediction (DeepSeek-V3, R1) bring that graph.',
    );
  }
  packageFile(opened, DRAFT_FILE);
  const model = await openMainGraph(opened, settings);
  try {
    const names = { ...BUILDER_NAMES, extra: [HIDDEN_STATES] };
    const draft = await openCachedGraph(opened, DRAFT_FILE, names, settings);
    const contextLength = contextLengthOf(opened.genai);
    return {
      vocabSize: model.vocabSize,
      contextLength,
      continueText: (prompt, options) => new Speculation(model, draft, contextLength, prompt, options).run(),
      async close() {
        await model.close();
        await draft.close();
      },
    };
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** What a call of the model says of `ids`: logits [ids, vocabSize] and hidden states [1, ids, hidden_size]. */
interface Answer {
  logits: Float32Array;
  states: Tensor;
}

/** One text in the making. The draft's cache holds position i when the token at i + 1 and the hidden states at i are known. */
class Speculation {
  readonly #text: number[];
  readonly #modelCache: KeyValueCache;
  readonly #draftCache: KeyValueCache;
  readonly #longest: number;
  readonly #counts: SpeculationCounts = { modelCalls: 0, draftedTokens: 0, acceptedTokens: 0 };

  constructor(
    private readonly model: CachedGraph,
    private readonly draft: CachedGraph,
    contextLength: number,
    private readonly prompt: readonly number[],
    private readonly options: ContinueOptions,
  ) {
    this.#text = [...prompt];
    this.#longest = Math.min(contextLength, prompt.length + options.maxNewTokens);
    this.#modelCache = model.startCache(this.#longest, contextLength);
    this.#draftCache = draft.startCache(this.#longest, contextLength);
  }

  async run() {
    let given = await this.#readPrompt();
    let draft: number | undefined;
    for (;;) {
      if (this.options.signal?.aborted) throw new InterruptedError('Interrupted while generating.');
      const answer = await this.#ask(draft === undefined ? given : [...given, draft]);
      let known = given.length;
      let stopReason = await this.#push(answer, known - 1);
      if (draft !== undefined) {
        this.#counts.draftedTokens++;
        if (draft === this.#text.at(-1)) {
          this.#counts.acceptedTokens++;
          known++;
          stopReason ??= await this.#push(answer, known - 1);
        } else this.#modelCache.truncate(this.#text.length - 1);
      }
      if (stopReason) return { ids: this.#text.slice(this.prompt.length), stopReason, counts: this.#counts };
      given = this.#text.slice(-1);
      // With one token to go a draft is of no use, and its position may lie past the context.
      const wantsDraft = this.#text.length + 2 <= this.#longest;
      draft = wantsDraft ? await this.#nextDraft(answer.states, known) : undefined;
    }
  }

  /** Feeds both graphs all of the prompt but its last piece, which it returns. */
  async #readPrompt(): Promise<readonly number[]> {
    const { prompt } = this;
    let from = 0;
    for (; from + PROMPT_CHUNK < prompt.length; from += PROMPT_CHUNK) {
      if (this.options.signal?.aborted) throw new InterruptedError('Interrupted while reading the prompt.');
      const { states } = await this.#ask(prompt.slice(from, from + PROMPT_CHUNK));
      await this.#nextDraft(states, PROMPT_CHUNK);
    }
    return prompt.slice(from);
  }

  async #ask(ids: readonly number[]): Promise<Answer> {
    const results = await this.model.step(this.#modelCache, ids, { fetches: [HIDDEN_STATES] });
    this.#counts.modelCalls++;
    return { logits: this.model.logits(results), states: results[HIDDEN_STATES] as Tensor };
  }

  /** Takes over the token that the model puts after row `row` of its answer; says whether the text ends with it. */
  async #push({ logits }: Answer, row: number): Promise<StopReason | undefined> {
    const { vocabSize } = this.model;
    const id = this.options.sampler(logits.subarray(row * vocabSize, (row + 1) * vocabSize), this.#text);
    this.#text.push(id);
    await this.options.onToken?.(id);
    if (this.options.stopIds.includes(id)) return 'eos';
    if (this.#text.length < this.#longest) return undefined;
    return this.#text.length - this.prompt.length >= this.options.maxNewTokens ? 'length' : 'context';
  }

  /** Feeds the draft graph the first `count` hidden states of an answer; returns the token that it expects next. */
  async #nextDraft(states: Tensor, count: number): Promise<number> {
    const from = this.#draftCache.length;
    const ids = this.#text.slice(from + 1, from + 1 + count);
    const width = states.dims[2] as number;
    const kept = (states.data as Float32Array).subarray(0, count * width);
    const hidden = new this.draft.ort.Tensor('float32', kept, [1, count, width]);
    const results = await this.draft.step(this.#draftCache, ids, { feeds: { [HIDDEN_STATES]: hidden } });
    const logits = this.draft.logits(results).subarray(-this.draft.vocabSize);
    return this.options.sampler(logits, this.#text);
  }
}
