import type { Graph } from '../../core/graph.js';
import { HIDDEN_TOKENS, layerErrors } from '../logits/hidden-states.js';
import type { Findings } from '../verdict/found-so-far.js';
import { probe, using, withEnds } from './graph-probe.js';
import type { RunContext } from './run-context.js';

/** Error after each layer: of the package where its graph can be looked into, else of its numbers alone. */
export async function compareLayers(
  context: RunContext,
  graphs: ReadonlyMap<string, Graph>,
  ids: readonly number[],
  findings: Findings,
): Promise<void> {
  const { hidden, own, reference } = context;
  const expected = reference ? hidden.reference.states : hidden.own.states;
  const drawn = (own ?? reference)?.graph;
  const names = drawn?.hiddenStates ?? [];
  const found = await probe(context, graphs, names);
  const against = reference ? 'the reference engine' : 'its own numbers in full precision';
  if (found && drawn) {
    const seen = await using(found.opened, (each) => each.prefill(ids.slice(0, HIDDEN_TOKENS)));
    const values = withEnds(seen, drawn);
    findings.layers = layerErrors(
      expected,
      names.map((name) => values.get(name)?.data),
    );
    findings.layersOf = `package against ${against}`;
  } else if (reference && own) {
    findings.layers = layerErrors(expected, hidden.own.states);
    findings.layersOf = `the package's numbers in full precision against ${against}`;
  }
}
