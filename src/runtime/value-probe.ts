import type * as Ort from 'onnxruntime-node';
import { InvalidInputError } from '../core/errors.js';
import { modelWithOutputs } from '../formats/onnx-outputs.js';
import { withFloatProducts } from '../formats/onnx-reader.js';
import { type Package, packageFile } from '../formats/package-reader.js';
import { namesOf } from './cached-decoder.js';
import { CachedGraph } from './cached-graph.js';
import { loadOnnxRuntime } from './onnxruntime.js';

/** A value inside a graph: float32 and its width, the last dimension. */
export interface ProbedValue {
  data: Float32Array;
  width: number;
}

/** A package of one graph, opened so that values inside it can be looked at. */
export interface ValueProbe {
  /** The values by name after one prefill of a sequence; those that are not float32 are left out. */
  prefill(ids: readonly number[]): Promise<Map<string, ProbedValue>>;
  /** The values of the last id alone, after the ids before it went through the cache one by one. */
  decode(ids: readonly number[]): Promise<Map<string, ProbedValue>>;
  close(): Promise<void>;
}

/**
 * Opens the graph of a package with `names` as further outputs; its logits are shown as well, by their name.
 * `floatProducts` computes products in float32 that the package computes with int8 activations. Throws
 * InvalidInputError where the runtime refuses.
 */
export async function openValueProbe(
  opened: Package,
  names: readonly string[],
  settings: { threads?: number; floatProducts?: boolean } = {},
): Promise<ValueProbe> {
  const graphFile = opened.genai.model.decoder.filename ?? 'model.onnx';
  const file = packageFile(opened, graphFile);
  const ort = await loadOnnxRuntime();
  const model = modelWithOutputs(file, names, settings.floatProducts ? withFloatProducts : undefined);
  const session = await createSession(ort, model, file, opened.dir, settings.threads);
  const graphNames = namesOf(opened.genai);
  const graph = new CachedGraph(ort, session, file, opened, graphFile, graphNames);
  const all = [...names, graphNames.logits];
  const step = (cache: ReturnType<CachedGraph['startCache']>, ids: readonly number[]) =>
    graph.step(cache, ids, { fetches: [...names] });
  return {
    prefill: async (ids) => valuesOf(await step(graph.startCache(ids.length, ids.length), ids), all),
    async decode(ids) {
      const cache = graph.startCache(ids.length, ids.length);
      for (const id of ids.slice(0, -1)) await graph.step(cache, [id]);
      return valuesOf(await step(cache, ids.slice(-1)), all);
    },
    close: () => graph.close(),
  };
}

async function createSession(
  ort: Awaited<ReturnType<typeof loadOnnxRuntime>>,
  model: Uint8Array,
  file: string,
  dir: string,
  threads: number | undefined,
): Promise<Ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      logSeverityLevel: 4,
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
      // A model from memory has no folder of its own in which external data could be looked for.
      extra: { session: { model_external_initializers_file_folder_path: dir } },
    });
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n', 1);
    throw new InvalidInputError(`${file}: ONNX Runtime does not show values inside this graph: ${line}`);
  }
}

function valuesOf(results: Record<string, Ort.Tensor>, names: readonly string[]): Map<string, ProbedValue> {
  const values = new Map<string, ProbedValue>();
  for (const name of names) {
    const tensor = results[name];
    if (tensor?.data instanceof Float32Array) values.set(name, { data: tensor.data, width: tensor.dims.at(-1) ?? 1 });
  }
  return values;
}
