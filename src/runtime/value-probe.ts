import type * as Ort from 'onnxruntime-node';
import { modelWithOutputs } from '../formats/onnx-outputs.js';
import { withFloatProducts } from '../formats/onnx-reader.js';
import { type Package, packageFile } from '../formats/package-reader.js';
import { namesOf } from './cached-decoder.js';
import { CachedGraph } from './cached-graph.js';
import { openSessionOf } from './onnxruntime.js';

/** A value inside a graph: float32 and its width, the last dimension. */
export interface ProbedValue {
  data: Float32Array;
  width: number;
}

/** A package of one graph, opened so that values inside it can be looked at. */
export interface ValueProbe {
  /** The values by name after one prefill of a sequence; those that are not float32 are left out. */
  prefill(ids: readonly number[]): Promise<Map<string, ProbedValue>>;
  /** The values of every id, through the cache, `chunk` ids a call (default 1). */
  steps(ids: readonly number[], chunk?: number): Promise<Map<string, ProbedValue>>;
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
  settings: { threads?: number | undefined; floatProducts?: boolean } = {},
): Promise<ValueProbe> {
  const graphFile = opened.genai.model.decoder.filename ?? 'model.onnx';
  const file = packageFile(opened, graphFile);
  const model = modelWithOutputs(file, names, settings.floatProducts ? withFloatProducts : undefined);
  const { ort, session } = await openSessionOf(model, file, {
    threads: settings.threads,
    // weights are decoded in between
    configEntries: { 'intra_op.allow_spinning': '0' },
  });
  const graphNames = namesOf(opened.genai);
  const graph = new CachedGraph(ort, session, file, opened, graphFile, graphNames);
  const all = [...names, graphNames.logits];
  const step = (cache: ReturnType<CachedGraph['startCache']>, ids: readonly number[]) =>
    graph.step(cache, ids, { fetches: [...names] });
  return {
    prefill: async (ids) => valuesOf(await step(graph.startCache(ids.length, ids.length), ids), all),
    async steps(ids, chunk = 1) {
      const cache = graph.startCache(ids.length, ids.length);
      const seen: Map<string, ProbedValue>[] = [];
      for (let from = 0; from < ids.length; from += chunk) {
        seen.push(valuesOf(await step(cache, ids.slice(from, from + chunk)), all));
      }
      return new Map([...(seen[0]?.keys() ?? [])].map((name) => [name, endToEnd(seen.map((each) => each.get(name)))]));
    },
    async decode(ids) {
      const cache = graph.startCache(ids.length, ids.length);
      for (const id of ids.slice(0, -1)) await graph.step(cache, [id]);
      return valuesOf(await step(cache, ids.slice(-1)), all);
    },
    close: () => graph.close(),
  };
}

function valuesOf(results: Record<string, Ort.Tensor>, names: readonly string[]): Map<string, ProbedValue> {
  const values = new Map<string, ProbedValue>();
  for (const name of names) {
    const tensor = results[name];
    if (tensor?.data instanceof Float32Array) values.set(name, { data: tensor.data, width: tensor.dims.at(-1) ?? 1 });
  }
  return values;
}

/** Values of one name, call after call. */
export function endToEnd(parts: readonly (ProbedValue | undefined)[]): ProbedValue {
  const known = parts.flatMap((each) => each ?? []);
  const data = new Float32Array(known.reduce((sum, each) => sum + each.data.length, 0));
  let at = 0;
  for (const part of known) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, width: known[0]?.width ?? 0 };
}
