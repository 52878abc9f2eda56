import type * as Ort from 'onnxruntime-node';
import { InterruptedError, InvalidInputError } from '../core/errors.js';
import { type GenaiConfig, type Package, packageFile, pipelineStagesOf } from '../formats/package-reader.js';
import { type AppendOptions, checkIds, type Decoder, type Sequence } from './decoder.js';
import type { OnnxRuntime } from './onnxruntime.js';
import { type CacheTensor, cacheTensors, openStages, type Stage, type StageSettings } from './pipeline-stages.js';

/** Sees what every graph gave in one call of `count` ids, which takes `tokens` places, padding included. */
export type CallListener = (values: Record<string, Ort.Tensor>, count: number, tokens: number) => void;

/**
 * Opens a `decoder-pipeline` package: the part of ONNX Runtime GenAI, on the CPU. Stages run in the order of
 * genai_config.json and hand values on by name.
 */
export async function openPipelineDecoder(
  opened: Package,
  settings: StageSettings,
  onCall?: CallListener,
): Promise<Decoder> {
  const where = packageFile(opened, 'genai_config.json');
  const window = opened.genai.model.decoder.sliding_window;
  if (!window || window.slide_key_value_cache || !window.slide_inputs) {
    throw new InvalidInputError(
      `${where}: model.decoder.sliding_window is ${JSON.stringify(window ?? null)}; this runtime slides the inputs ` +
        'over a cache that stays in place.',
      'set slide_inputs to true and slide_key_value_cache to false, or convert the checkpoint again.',
    );
  }
  const { ort, stages } = await openStages(opened, pipelineStagesOf(opened.genai), settings);
  try {
    return new PipelineDecoder(ort, stages, opened.genai, window.window_size, where, onCall);
  } catch (error) {
    for (const { session } of stages) await session.release();
    throw error;
  }
}

/** Keys and values of one sequence. Every graph reads and renews the same memory. */
interface Cache {
  length: number;
  tensors: Record<string, Ort.Tensor>;
}

class PipelineDecoder implements Decoder {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly #slots: CacheTensor[];
  readonly #names: { ids: string; logits: string; past: string; total: string };
  /** What fills the last window of a prompt: any id, since no token sees the positions that it takes. */
  readonly #padId: number;

  constructor(
    private readonly ort: OnnxRuntime,
    private readonly stages: Stage[],
    genai: GenaiConfig,
    private readonly window: number,
    where: string,
    private readonly onCall: CallListener | undefined,
  ) {
    const { model, search } = genai;
    const { inputs, outputs } = model.decoder;
    this.vocabSize = model.vocab_size;
    this.#padId = Math.min(model.pad_token_id ?? 0, model.vocab_size - 1);
    this.#names = {
      ids: inputs.input_ids ?? 'input_ids',
      logits: outputs.logits ?? 'logits',
      past: inputs.past_sequence_length ?? 'past_seq_len',
      total: inputs.total_sequence_length ?? 'total_seq_len',
    };
    this.#slots = cacheTensors(stages, inputs, outputs, where);
    const cacheLength = this.#slots[0].shape[2];
    this.contextLength = Math.min(model.context_length, search.max_length ?? model.context_length);
    if (this.contextLength !== cacheLength) {
      throw new InvalidInputError(
        `${where}: search.max_length is ${this.contextLength}; the graphs have a cache of ${cacheLength} positions.`,
        'set search.max_length and model.context_length to the length of the cache.',
      );
    }
  }

  async logitsOf(batch: readonly (readonly number[])[]): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    for (const ids of batch) {
      if (ids.length !== batch[0].length) {
        throw new InvalidInputError(
          `a batch holds sequences of ${batch[0].length} and of ${ids.length} tokens; they must be of equal length.`,
        );
      }
      parts.push(await this.start().append(ids));
    }
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  start(): Sequence {
    const cache: Cache = { length: 0, tensors: this.#emptyCache() };
    return {
      get length() {
        return cache.length;
      },
      append: (ids, options) => this.#append(cache, ids, options),
      // Whatever stands beyond the length is hidden by the causal limit and overwritten later.
      truncate(length) {
        cache.length = Math.min(cache.length, length);
      },
    };
  }

  async close(): Promise<void> {
    for (const { session } of this.stages) await session.release();
  }

  #emptyCache(): Record<string, Ort.Tensor> {
    return Object.fromEntries(
      this.#slots.map(({ past, type, shape }) => {
        const size = shape.reduce((product, each) => product * each, 1);
        const data = type === 'float32' ? new Float32Array(size) : new Uint16Array(size);
        return [past, new this.ort.Tensor(type, data as Float32Array, shape)];
      }),
    );
  }

  /**
   * More than one token goes through the prompt's stages window by window, the last one padded on the right; a single
   * token, or what is left where no whole window fits in the cache any more, goes through the iterator.
   */
  async #append(cache: Cache, ids: readonly number[], options: AppendOptions = {}): Promise<Float32Array> {
    checkIds(ids, cache.length, this);
    const lastOnly = options.logits === 'last';
    const logits = new Float32Array((lastOnly ? 1 : ids.length) * this.vocabSize);
    for (let done = 0; done < ids.length; ) {
      if (options.signal?.aborted) throw new InterruptedError('Interrupted while reading the prompt.');
      const isPrompt = ids.length > 1 && cache.length + this.window <= this.contextLength;
      const count = isPrompt ? Math.min(this.window, ids.length - done) : 1;
      const part = ids.slice(done, done + count);
      const isLast = done + count === ids.length;
      const result = await this.#call(cache, part, isPrompt, isLast || !lastOnly);
      cache.length += count;
      if (!lastOnly) logits.set(result.subarray(0, count * this.vocabSize), done * this.vocabSize);
      else if (isLast) logits.set(result.subarray((count - 1) * this.vocabSize, count * this.vocabSize));
      done += count;
    }
    return logits;
  }

  /** One call of every stage that this kind of call has; logits [tokens of the call, vocabulary], padding included. */
  async #call(cache: Cache, ids: readonly number[], isPrompt: boolean, withHead: boolean): Promise<Float32Array> {
    const tokens = isPrompt ? this.window : 1;
    const padded = BigInt64Array.from({ length: tokens }, (_, index) => BigInt(ids[index] ?? this.#padId));
    const values: Record<string, Ort.Tensor> = {
      [this.#names.ids]: new this.ort.Tensor('int64', padded, [1, tokens]),
      // The position of the call's last token; the length of the cache.
      [this.#names.past]: new this.ort.Tensor('int32', Int32Array.of(cache.length + tokens - 1), [1, 1]),
      [this.#names.total]: new this.ort.Tensor('int32', Int32Array.of(this.contextLength), [1]),
      ...cache.tensors,
    };
    const renewed = new Map(this.#slots.map(({ past, present }) => [present, cache.tensors[past]]));
    for (const stage of this.stages) {
      const { settings } = stage;
      if (!(isPrompt ? settings.run_on_prompt : settings.run_on_token_gen)) continue;
      if (settings.is_lm_head && !withHead) continue;
      Object.assign(values, await stage.run(values, (name) => renewed.get(name) ?? null));
    }
    this.onCall?.(values, ids.length, tokens);
    return (values[this.#names.logits]?.data as Float32Array | undefined) ?? new Float32Array(0);
  }
}
