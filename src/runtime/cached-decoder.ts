import { InterruptedError, InvalidInputError } from '../core/errors.js';
import type { GenaiConfig, Package } from '../formats/package-reader.js';
import { BUILDER_NAMES, type CachedGraph, type GraphNames, openCachedGraph } from './cached-graph.js';
import { type AppendOptions, checkIds, type Decoder, type Sequence } from './decoder.js';
import type { KeyValueCache } from './key-value-cache.js';
import type { SessionSettings } from './onnxruntime.js';

/** Room of a shared cache where the caller does not say how long its sequence will get. */
const DEFAULT_CAPACITY = 256;

/**
 * Opens a package of one graph with a cache of keys and values, as onnxruntime-genai's builder writes it: input_ids
 * and attention_mask, where the graph has it position_ids, and per layer past_key_values.{i}.key and .value or, with
 * latent attention, .key alone. Names come from genai_config.json.
 */
export async function openCachedDecoder(opened: Package, settings: SessionSettings): Promise<Decoder> {
  return new CachedDecoder(await openMainGraph(opened, settings), contextLengthOf(opened.genai));
}

/** Opens the graph that turns ids into logits. */
export async function openMainGraph(opened: Package, settings: SessionSettings): Promise<CachedGraph> {
  const { decoder } = opened.genai.model;
  return openCachedGraph(opened, decoder.filename ?? 'model.onnx', namesOf(opened.genai), {
    ...settings,
    threads: settings.threads ?? decoder.session_options.intra_op_num_threads,
  });
}

/** Positions that a sequence can have. */
export function contextLengthOf({ model, search }: GenaiConfig): number {
  return Math.min(model.context_length, search.max_length ?? Number.POSITIVE_INFINITY);
}

/** Names of inputs, outputs and cache as genai_config.json gives them. */
export function namesOf({ model }: GenaiConfig): GraphNames {
  const { inputs, outputs } = model.decoder;
  const [keys, values] = BUILDER_NAMES.caches;
  return {
    ids: inputs.input_ids ?? BUILDER_NAMES.ids,
    mask: inputs.attention_mask ?? BUILDER_NAMES.mask,
    positions: inputs.position_ids ?? BUILDER_NAMES.positions,
    logits: outputs.logits ?? BUILDER_NAMES.logits,
    caches: [
      { past: inputs.past_key_names ?? keys.past, present: outputs.present_key_names ?? keys.present },
      { past: inputs.past_value_names ?? values.past, present: outputs.present_value_names ?? values.present },
    ],
  };
}

class CachedDecoder implements Decoder {
  readonly vocabSize: number;

  constructor(
    private readonly graph: CachedGraph,
    readonly contextLength: number,
  ) {
    this.vocabSize = graph.vocabSize;
  }

  async logitsOf(batch: readonly (readonly number[])[]): Promise<Float32Array> {
    for (const ids of batch) {
      checkIds(ids, 0, this);
      if (ids.length !== batch[0]?.length) {
        throw new InvalidInputError(
          `a batch holds sequences of ${batch[0]?.length} and of ${ids.length} tokens; they must be of equal length.`,
        );
      }
    }
    return this.graph.logitsOf(batch);
  }

  start(capacity = DEFAULT_CAPACITY): Sequence {
    const cache = this.graph.startCache(capacity, this.contextLength);
    return {
      get length() {
        return cache.length;
      },
      append: (ids, options) => this.append(cache, ids, options),
      truncate: (length) => cache.truncate(length),
    };
  }

  async close(): Promise<void> {
    await this.graph.close();
  }

  private async append(cache: KeyValueCache, ids: readonly number[], options: AppendOptions = {}) {
    checkIds(ids, cache.length, this);
    const step = async (part: readonly number[]) => this.graph.logits(await this.graph.step(cache, part));
    const chunk = options.chunk ?? ids.length;
    const lastOnly = options.logits === 'last';
    if (ids.length <= chunk && (ids.length === 1 || !lastOnly)) return step(ids);

    const all = new Float32Array((lastOnly ? 1 : ids.length) * this.vocabSize);
    for (let from = 0; from < ids.length; from += chunk) {
      if (options.signal?.aborted) throw new InterruptedError('Interrupted while reading the prompt.');
      const part = ids.slice(from, from + chunk);
      const logits = await step(part);
      if (!lastOnly) all.set(logits, from * this.vocabSize);
      else if (from + chunk >= ids.length) all.set(logits.subarray(-this.vocabSize));
    }
    return all;
  }
}
