import { InvalidInputError } from '../../core/errors.js';
import type { Graph } from '../../core/graph.js';
import { openPipelineProbe } from '../../runtime/pipeline-probe.js';
import { openValueProbe, type ProbedValue, type ValueProbe } from '../../runtime/value-probe.js';
import type { RunContext } from './run-context.js';

/** The wanted values that a graph makes inside, so that they are not outputs yet. */
function insideOf(graph: Graph, wanted: readonly string[]): string[] {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  return wanted.filter((name) => made.has(name) && !outputs.has(name));
}

/** Looks into a package's graphs; null where they have none of the values or the runtime does not show them. */
export async function probe(
  { opened, threads }: RunContext,
  graphs: ReadonlyMap<string, Graph>,
  wanted: readonly string[],
  floatProducts = false,
): Promise<{ opened: ValueProbe } | null> {
  const names = new Map([...graphs].map(([file, graph]) => [file, insideOf(graph, wanted)]));
  const all = [...names.values()].flat();
  if (all.length === 0) return null;
  const settings = { threads, floatProducts };
  try {
    if (opened.genai.model.type === 'decoder-pipeline')
      return { opened: await openPipelineProbe(opened, names, settings) };
    return graphs.size > 1 ? null : { opened: await openValueProbe(opened, all, settings) };
  } catch (error) {
    if (error instanceof InvalidInputError) return null;
    throw error;
  }
}

/** Runs a probe and closes it. */
export async function using<T>(opened: ValueProbe, run: (opened: ValueProbe) => Promise<T>): Promise<T> {
  try {
    return await run(opened);
  } finally {
    await opened.close();
  }
}

/**
 * The values with those of a pipeline's ends under their names in the drawn graph: its first hidden state is handed to
 * the layers and its last one to the head.
 */
export function withEnds(
  values: Map<string, ProbedValue>,
  { hiddenStates }: Pick<Graph, 'hiddenStates'>,
): Map<string, ProbedValue> {
  for (const [name, end] of [
    [hiddenStates[0], 'input_hidden_states'],
    [hiddenStates.at(-1), 'output_hidden_states'],
  ] as const) {
    const value = values.get(end);
    if (name && value && !values.has(name)) values.set(name, value);
  }
  return values;
}
