import type { Tensor } from 'onnxruntime-node';
import { modelWithOutputs } from '../formats/onnx-outputs.js';
import { withFloatProducts } from '../formats/onnx-reader.js';
import { type Package, packageFile } from '../formats/package-reader.js';
import { contextLengthOf, openMainGraph } from './cached-decoder.js';
import { BUILDER_NAMES, CachedGraph } from './cached-graph.js';
import { openSessionOf, type SessionSettings } from './onnxruntime.js';
import { DRAFT_FILE, HIDDEN_STATES } from './speculate.js';

/** What multi-token prediction says of a sequence of n ids. */
export interface ProbedPrediction {
  /** The model's hidden states of all ids but the last, float32 [n - 1, width]: what the predictions are made of. */
  states: Float32Array;
  /** Logits [n - 1, vocabulary], row i of the id at i + 2: at once, and one id a call through the cache. */
  logits: { prefill: Float32Array; decode: Float32Array };
  vocabulary: number;
}

/**
 * Runs the model on ids and its multi-token prediction on what the model says, with products in float32 where the
 * package has int8 activations. One graph is open at a time. Throws InvalidInputError where the runtime refuses.
 */
export async function probePrediction(
  opened: Package,
  ids: readonly number[],
  { threads }: SessionSettings,
): Promise<ProbedPrediction> {
  const hidden = await hiddenStatesOf(opened, ids.slice(0, -1), threads);
  const file = packageFile(opened, DRAFT_FILE);
  const { ort, session } = await openSessionOf(modelWithOutputs(file, [], withFloatProducts), file, {
    threads,
  });
  const names = { ...BUILDER_NAMES, extra: [HIDDEN_STATES] };
  const graph = new CachedGraph(ort, session, file, opened, DRAFT_FILE, names);
  const states = hidden.data as Float32Array;
  const width = hidden.dims.at(-1) as number;
  const next = ids.slice(1);
  const run = async (chunk: number) => {
    const cache = graph.startCache(next.length, contextLengthOf(opened.genai));
    const logits = new Float32Array(next.length * graph.vocabSize);
    for (let from = 0; from < next.length; from += chunk) {
      const part = next.slice(from, from + chunk);
      const rows = states.subarray(from * width, (from + part.length) * width);
      const fed = new ort.Tensor('float32', rows, [1, part.length, width]);
      const results = await graph.step(cache, part, { feeds: { [HIDDEN_STATES]: fed } });
      logits.set(graph.logits(results), from * graph.vocabSize);
    }
    return logits;
  };
  try {
    return {
      states,
      logits: { prefill: await run(next.length), decode: await run(1) },
      vocabulary: graph.vocabSize,
    };
  } finally {
    await graph.close();
  }
}

async function hiddenStatesOf(opened: Package, ids: readonly number[], threads?: number): Promise<Tensor> {
  const model = await openMainGraph(opened, { threads });
  try {
    const cache = model.startCache(ids.length, contextLengthOf(opened.genai));
    const results = await model.step(cache, ids, { fetches: [HIDDEN_STATES] });
    return results[HIDDEN_STATES] as Tensor;
  } finally {
    await model.close();
  }
}
