import type * as Ort from 'onnxruntime-node';
import { InvalidInputError } from '../core/errors.js';
import { operatorsOf, type Package, packageFile } from '../formats/package-reader.js';
import { type CacheSlot, fedBackCache, type KeyValueCache, sharedCache } from './key-value-cache.js';
import { type OnnxRuntime, openSession, runSession, type SessionSettings } from './onnxruntime.js';

/** Inputs and outputs of a graph by what they are; `extra` are inputs that the caller feeds itself. */
export interface GraphNames {
  ids: string;
  mask: string;
  positions: string;
  logits: string;
  /** Names of the cache with %d for the layer: keys, and values where the graph has them. */
  caches: { past: string; present: string }[];
  extra?: string[];
}

/** What a call takes and gives beside ids, cache and logits. */
export interface ExtraValues {
  feeds?: Record<string, Ort.Tensor>;
  fetches?: string[];
}

/** The names that onnxruntime-genai's builder gives. */
export const BUILDER_NAMES: GraphNames = {
  ids: 'input_ids',
  mask: 'attention_mask',
  positions: 'position_ids',
  logits: 'logits',
  caches: [
    { past: 'past_key_values.%d.key', present: 'present.%d.key' },
    { past: 'past_key_values.%d.value', present: 'present.%d.value' },
  ],
};

/** Opens a graph of a package that keeps keys and values from call to call. */
export async function openCachedGraph(
  opened: Package,
  name: string,
  names: GraphNames,
  settings: SessionSettings,
): Promise<CachedGraph> {
  const file = packageFile(opened, name);
  const { ort, session } = await openSession(file, settings);
  try {
    return new CachedGraph(ort, session, file, opened, name, names);
  } catch (error) {
    await session.release();
    throw error;
  }
}

/** A session whose calls append positions to a cache of keys and values. */
export class CachedGraph {
  readonly vocabSize: number;
  readonly #slots: CacheSlot[];
  readonly #sharesBuffer: boolean;
  #isClosed = false;

  constructor(
    readonly ort: OnnxRuntime,
    readonly session: Ort.InferenceSession,
    readonly file: string,
    opened: Package,
    name: string,
    private readonly names: GraphNames,
  ) {
    const layers = cachedLayers(session, file, names);
    this.#slots = layers.flat();
    // Either the package says so, or every layer's cache belongs to the operator that can do it.
    this.#sharesBuffer =
      opened.genai.search.past_present_share_buffer || operatorsOf(opened, name)?.GroupQueryAttention === layers.length;
    const fed = new Set([names.ids, names.mask, names.positions, ...(names.extra ?? [])]);
    for (const slot of this.#slots) fed.add(slot.past);
    const unknown = session.inputNames.find((each) => !fed.has(each));
    if (unknown !== undefined) {
      throw new InvalidInputError(
        `${file}: the graph has an input "${unknown}" that genai_config.json does not explain.`,
        'name it under model.decoder.inputs, or convert the checkpoint again.',
      );
    }
    const logits = tensorMetadata(session.outputMetadata, names.logits);
    if (logits?.type !== 'float32') {
      throw new InvalidInputError(
        `${file}: the output "${names.logits}" is ${logits?.type ?? 'missing'}; float32 logits are needed.`,
        'convert the checkpoint with --target cpu.',
      );
    }
    const width = logits.shape.at(-1);
    this.vocabSize = typeof width === 'number' ? width : opened.genai.model.vocab_size;
  }

  /** An empty cache of one sequence, with room for `capacity` positions to begin with. */
  startCache(capacity: number, contextLength: number): KeyValueCache {
    return this.#sharesBuffer
      ? sharedCache(this.ort, this.#slots, capacity, contextLength)
      : fedBackCache(this.ort, this.#slots);
  }

  /** Runs the graph once on ids after those in the cache, which moves on only when the call succeeded. */
  async step(
    cache: KeyValueCache,
    ids: readonly number[],
    extra: ExtraValues = {},
  ): Promise<Record<string, Ort.Tensor>> {
    const { feeds, fetches } = cache.before(ids.length);
    const asked = Object.fromEntries([this.names.logits, ...(extra.fetches ?? [])].map((each) => [each, null]));
    const results = await runSession(
      this.session,
      this.file,
      { ...this.#feeds([ids], cache.length), ...extra.feeds, ...feeds },
      { ...asked, ...fetches },
    );
    cache.after(ids.length, results);
    return results as Record<string, Ort.Tensor>;
  }

  /** Logits of sequences of equal length, each from position 0; their keys and values are dropped. */
  async logitsOf(batch: readonly (readonly number[])[]): Promise<Float32Array> {
    const nothing = Object.fromEntries(
      this.#slots.map((slot) => [
        slot.past,
        new this.ort.Tensor(slot.type, slot.type === 'float32' ? new Float32Array(0) : new Uint16Array(0), [
          batch.length,
          slot.heads,
          0,
          slot.width,
        ]),
      ]),
    );
    const { logits } = this.names;
    const results = await runSession(this.session, this.file, { ...this.#feeds(batch, 0), ...nothing }, [logits]);
    return results[logits]?.data as Float32Array;
  }

  logits(results: Readonly<Record<string, Ort.Tensor>>): Float32Array {
    return results[this.names.logits]?.data as Float32Array;
  }

  /** May be called again. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.session.release();
  }

  #feeds(batch: readonly (readonly number[])[], past: number): Record<string, Ort.Tensor> {
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
function cachedLayers(session: Ort.InferenceSession, file: string, names: GraphNames): CacheSlot[][] {
  const layers: CacheSlot[][] = [];
  for (let layer = 0; ; layer++) {
    const found = names.caches
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
      `${file}: the graph has no cache inputs named "${names.caches[0]?.past}".`,
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
