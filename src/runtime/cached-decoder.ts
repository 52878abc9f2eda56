import type * as Ort from 'onnxruntime-node';
import { InterruptedError, InvalidInputError } from '../core/errors.js';
import { type GenaiConfig, operatorsOf, type Package, packageFile } from '../formats/package-reader.js';
import { type AppendOptions, checkIds, type Decoder, type Sequence } from './decoder.js';
import { type CacheSlot, fedBackCache, type KeyValueCache, sharedCache } from './key-value-cache.js';
import { type OnnxRuntime, openSession, runSession, type SessionSettings } from './onnxruntime.js';

/** Room of a shared cache where the caller does not say how long its sequence will get. */
const DEFAULT_CAPACITY = 256;

/**
 * Opens a package of one graph with a cache of keys and values, as onnxruntime-genai's builder writes it: input_ids
 * and attention_mask, where the graph has it position_ids, and per layer past_key_values.{i}.key and .value or, with
 * latent attention, .key alone. Names come from genai_config.json.
 */
export async function openCachedDecoder(opened: Package, settings: SessionSettings): Promise<Decoder> {
  const { decoder } = opened.genai.model;
  const name = decoder.filename ?? 'model.onnx';
  const file = packageFile(opened, name);
  const { ort, session } = await openSession(file, {
    ...settings,
    threads: settings.threads ?? decoder.session_options.intra_op_num_threads,
  });
  try {
    return new CachedDecoder(ort, session, file, opened.genai, operatorsOf(opened, name));
  } catch (error) {
    await session.release();
    throw error;
  }
}

class CachedDecoder implements Decoder {
  readonly vocabSize: number;
  readonly contextLength: number;
  private readonly names: { ids: string; mask: string; positions: string; logits: string };
  private readonly slots: CacheSlot[];
  private readonly sharesBuffer: boolean;

  constructor(
    private readonly ort: OnnxRuntime,
    private readonly session: Ort.InferenceSession,
    private readonly file: string,
    genai: GenaiConfig,
    operators: Readonly<Record<string, number>> | null,
  ) {
    const { inputs, outputs } = genai.model.decoder;
    this.names = {
      ids: inputs.input_ids ?? 'input_ids',
      mask: inputs.attention_mask ?? 'attention_mask',
      positions: inputs.position_ids ?? 'position_ids',
      logits: outputs.logits ?? 'logits',
    };
    const layers = cachedLayers(session, file, inputs, outputs);
    this.slots = layers.flat();
    // Either the package says so, or every layer's cache belongs to the operator that can do it.
    this.sharesBuffer = genai.search.past_present_share_buffer || operators?.GroupQueryAttention === layers.length;
    this.contextLength = Math.min(genai.model.context_length, genai.search.max_length ?? Number.POSITIVE_INFINITY);
    const fed = new Set([
      this.names.ids,
      this.names.mask,
      this.names.positions,
      ...this.slots.map((slot) => slot.past),
    ]);
    const unknown = session.inputNames.find((name) => !fed.has(name));
    if (unknown !== undefined) {
      throw new InvalidInputError(
        `${file}: the graph has an input "${unknown}" that genai_config.json does not explain.`,
        'name it under model.decoder.inputs, or convert the checkpoint again.',
      );
    }
    const logits = tensorMetadata(session.outputMetadata, this.names.logits);
    if (logits?.type !== 'float32') {
      throw new InvalidInputError(
        `${file}: the output "${this.names.logits}" is ${logits?.type ?? 'missing'}; float32 logits are needed.`,
        'convert the checkpoint with --target cpu.',
      );
    }
    const width = logits.shape.at(-1);
    this.vocabSize = typeof width === 'number' ? width : genai.model.vocab_size;
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
    const nothing = Object.fromEntries(
      this.slots.map((slot) => [
        slot.past,
        new this.ort.Tensor(slot.type, slot.type === 'float32' ? new Float32Array(0) : new Uint16Array(0), [
          batch.length,
          slot.heads,
          0,
          slot.width,
        ]),
      ]),
    );
    const results = await runSession(this.session, this.file, { ...this.feeds(batch, 0), ...nothing }, [
      this.names.logits,
    ]);
    return results[this.names.logits]?.data as Float32Array;
  }

  start(capacity = DEFAULT_CAPACITY): Sequence {
    const cache = this.sharesBuffer
      ? sharedCache(this.ort, this.slots, capacity, this.contextLength)
      : fedBackCache(this.ort, this.slots);
    return {
      get length() {
        return cache.length;
      },
      append: (ids, options) => this.append(cache, ids, options),
      truncate: (length) => cache.truncate(length),
    };
  }

  async close(): Promise<void> {
    await this.session.release();
  }

  private async append(cache: KeyValueCache, ids: readonly number[], options: AppendOptions = {}) {
    checkIds(ids, cache.length, this);
    const chunk = options.chunk ?? ids.length;
    const lastOnly = options.logits === 'last';
    if (ids.length <= chunk && (ids.length === 1 || !lastOnly)) return this.step(cache, ids);

    const all = new Float32Array((lastOnly ? 1 : ids.length) * this.vocabSize);
    for (let from = 0; from < ids.length; from += chunk) {
      if (options.signal?.aborted) throw new InterruptedError('Interrupted while reading the prompt.');
      const part = ids.slice(from, from + chunk);
      const logits = await this.step(cache, part);
      if (!lastOnly) all.set(logits, from * this.vocabSize);
      else if (from + chunk >= ids.length) all.set(logits.subarray(-this.vocabSize));
    }
    return all;
  }

  /** One run of the graph; the cache moves on only when it succeeded. */
  private async step(cache: KeyValueCache, ids: readonly number[]): Promise<Float32Array> {
    const { feeds, fetches } = cache.before(ids.length);
    const results = await runSession(
      this.session,
      this.file,
      { ...this.feeds([ids], cache.length), ...feeds },
      { [this.names.logits]: null, ...fetches },
    );
    cache.after(ids.length, results);
    return results[this.names.logits]?.data as Float32Array;
  }

  private feeds(batch: readonly (readonly number[])[], past: number): Record<string, Ort.Tensor> {
    const rows = batch.length;
    const count = batch[0]?.length ?? 0;
    const int64 = (data: BigInt64Array, columns: number) => new this.ort.Tensor('int64', data, [rows, columns]);
    const feeds: Record<string, Ort.Tensor> = {
      [this.names.ids]: int64(BigInt64Array.from(batch.flat(), BigInt), count),
    };
    if (this.session.inputNames.includes(this.names.mask)) {
      feeds[this.names.mask] = int64(new BigInt64Array(rows * (past + count)).fill(1n), past + count);
    }
    if (this.session.inputNames.includes(this.names.positions)) {
      const positions = BigInt64Array.from({ length: rows * count }, (_, i) => BigInt(past + (i % count)));
      feeds[this.names.positions] = int64(positions, count);
    }
    return feeds;
  }
}

/** The cache inputs of a graph, layer by layer, each with the output that renews it. */
function cachedLayers(
  session: Ort.InferenceSession,
  file: string,
  inputs: Record<string, string>,
  outputs: Record<string, string>,
): CacheSlot[][] {
  const kinds = [
    {
      past: inputs.past_key_names ?? 'past_key_values.%d.key',
      present: outputs.present_key_names ?? 'present.%d.key',
    },
    {
      past: inputs.past_value_names ?? 'past_key_values.%d.value',
      present: outputs.present_value_names ?? 'present.%d.value',
    },
  ];
  const layers: CacheSlot[][] = [];
  for (let layer = 0; ; layer++) {
    const found = kinds
      .map(({ past, present }) => ({
        past: past.replace('%d', String(layer)),
        present: present.replace('%d', String(layer)),
      }))
      .filter(({ past }) => session.inputNames.includes(past));
    if (found.length === 0) break;
    layers.push(found.map(({ past, present }) => cacheSlot(session, file, past, present)));
  }
  if (layers.length === 0) {
    throw new InvalidInputError(
      `${file}: the graph has no cache inputs named "${kinds[0]?.past}".`,
      'correct model.decoder.inputs in genai_config.json, or convert the checkpoint again.',
    );
  }
  return layers;
}

function cacheSlot(session: Ort.InferenceSession, file: string, past: string, present: string): CacheSlot {
  const metadata = tensorMetadata(session.inputMetadata, past);
  const [, heads, , width] = metadata?.shape ?? [];
  const type = metadata?.type;
  if (typeof heads !== 'number' || typeof width !== 'number' || (type !== 'float32' && type !== 'float16')) {
    throw new InvalidInputError(
      `${file}: the cache input "${past}" is ${type} [${metadata?.shape}]; needed is float32 or float16 ` +
        '[batch, heads, positions, width] with heads and width given.',
      'convert the checkpoint again.',
    );
  }
  if (!session.outputNames.includes(present)) {
    throw new InvalidInputError(
      `${file}: the cache input "${past}" has no output "${present}" that renews it.`,
      'correct model.decoder.outputs in genai_config.json, or convert the checkpoint again.',
    );
  }
  return { past, present, type, heads, width };
}

function tensorMetadata(list: readonly Ort.InferenceSession.ValueMetadata[], name: string) {
  const metadata = list.find((m) => m.name === name);
  return metadata?.isTensor ? metadata : undefined;
}
