import type * as Ort from 'onnxruntime-node';
import { type Package, pipelineStagesOf } from '../formats/package-reader.js';
import { openPipelineDecoder } from './pipeline-decoder.js';
import { endToEnd, type ProbedValue, type ValueProbe } from './value-probe.js';

/**
 * Opens a pipeline with the values `names`, by graph file, as further outputs; its logits are shown as well, by their
 * name, and so are the values that its graphs hand on. A prefill goes through the prompt's graphs, whatever comes one by one through the iterator. Throws
 * InvalidInputError where the runtime refuses.
 */
export async function openPipelineProbe(
  opened: Package,
  names: ReadonlyMap<string, readonly string[]>,
  settings: { threads?: number | undefined; floatProducts?: boolean } = {},
): Promise<ValueProbe> {
  const { outputs } = opened.genai.model.decoder;
  const files = new Set(pipelineStagesOf(opened.genai).map(({ filename }) => filename));
  const shown = new Map([...names].filter(([file]) => files.has(file)));
  const handedOn = pipelineStagesOf(opened.genai).flatMap((stage) => stage.outputs);
  const wanted = new Set([...[...shown.values()].flat(), ...handedOn, outputs.logits ?? 'logits']);
  let seen = new Map<string, ProbedValue[]>();
  const decoder = await openPipelineDecoder(opened, { ...settings, shown }, (values, count, tokens) => {
    for (const name of wanted) {
      const value = tokenRows(values[name], count, tokens);
      if (value) seen.set(name, [...(seen.get(name) ?? []), value]);
    }
  });
  /** What the last calls gave, tokens end to end. */
  const taken = () => {
    const values = new Map([...seen].map(([name, parts]) => [name, endToEnd(parts)]));
    seen = new Map();
    return values;
  };
  const steps = async (ids: readonly number[], chunk = 1) => {
    const text = decoder.start(ids.length);
    for (let from = 0; from < ids.length; from += chunk) await text.append(ids.slice(from, from + chunk));
    return taken();
  };
  return {
    async prefill(ids) {
      await decoder.start(ids.length).append(ids);
      return taken();
    },
    steps,
    async decode(ids) {
      const values = await steps(ids);
      return new Map(
        [...values].map(([name, { data, width }]) => [name, { data: data.subarray(data.length - width), width }]),
      );
    },
    close: () => decoder.close(),
  };
}

/** The rows of a call's ids without those of its padding; undefined for what is not [1, tokens, width] in float32. */
function tokenRows(tensor: Ort.Tensor | undefined, count: number, tokens: number): ProbedValue | undefined {
  if (!(tensor?.data instanceof Float32Array) || tensor.dims.length !== 3 || tensor.dims[1] !== tokens)
    return undefined;
  const width = tensor.dims[2];
  return { data: tensor.data.slice(0, count * width), width };
}
