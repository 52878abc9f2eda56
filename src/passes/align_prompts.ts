import type { GraphNode } from '../core/graph.js';
import { pass } from '../graph/pass.js';
import { GraphDraft, Replacement } from '../graph/rewrite.js';

const PATH = '/model/prompt_alignment';

const ALIGN = {
  name: 'align_prompts',
  requires: ['halfbyte.Attention'],
  removes: [],
  leaves: ['ArgMax', 'Gather', 'GatherElements', 'GatherND', 'Max', 'Mod', 'Add', 'Range', 'Shape', 'Sub', 'Unsqueeze'],
};

/**
 * Sequences of a batch that are padded on their left, as attention_mask has it, begin with their first token inside of
 * the graph, and get back to their places before the head. GroupQueryAttention knows lengths, not gaps: its seqlens_k,
 * window, rotation and cache count a sequence's tokens from its first one. Without padding nothing moves.
 */
export const alignPrompts = pass(ALIGN, (graph) => {
  if (!graph.nodes.some(({ op }) => op === 'GroupQueryAttention')) return graph;
  const draft = new GraphDraft(graph);
  const nothing = { name: PATH, op: '', domain: 'halfbyte' as const, inputs: [], outputs: [], attributes: {} };
  const step = (into: Replacement, op: string, segment: string, inputs: string[], attributes = {}) =>
    into.onnx(op, `${PATH}/${segment}`, inputs, attributes);
  const [zero, one] = [0, 1].map((each) => draft.constant('INT64', each));

  const before = new Replacement(draft, nothing);
  const mask = draft.input('attention_mask', 'INT64', ['batch_size', 'total_sequence_length']);
  const lengthOf = (value: string, segment: string) =>
    step(before, 'Gather', `${segment}/Gather`, [step(before, 'Shape', `${segment}/Shape`, [value]), one]);
  const length = lengthOf('input_ids', 'sequence');
  const past = step(before, 'Sub', 'past/Sub', [lengthOf(mask, 'total'), length]);
  const first = step(before, 'ArgMax', 'first/ArgMax', [mask], { axis: 1, keepdims: 1 });
  // Padding that earlier calls have seen is no part of this one.
  const gap = step(before, 'Max', 'gap/Max', [step(before, 'Sub', 'gap/Sub', [first, past]), zero]);
  const places = step(before, 'Range', 'places/Range', [zero, length, one]);
  const turned = (op: string, segment: string) =>
    step(before, 'Mod', `${segment}/Mod`, [step(before, op, `${segment}/${op}`, [places, gap]), length]);
  const taken = turned('Add', 'taken');
  const put = step(before, 'Unsqueeze', 'put/Unsqueeze', [turned('Sub', 'put'), draft.constant('INT64', [-1])]);
  const aligned = new Map(
    ['input_ids', 'position_ids']
      .filter((name) => graph.inputs.some((each) => each.name === name))
      .map((name) => [name, step(before, 'GatherElements', `${name}/GatherElements`, [name, taken], { axis: 1 })]),
  );

  const last = graph.hiddenStates[graph.hiddenStates.length - 1];
  const after = new Replacement(draft, nothing);
  aligned.set(last, step(after, 'GatherND', 'hidden_states/GatherND', [last, put], { batch_dims: 1 }));
  const reading = (node: GraphNode): GraphNode => ({
    ...node,
    inputs: node.inputs.map((name) => aligned.get(name) ?? name),
  });
  const nodes = graph.nodes.map(reading);
  const end = graph.nodes.findIndex(({ outputs }) => outputs.includes(last)) + 1;
  draft.graph.nodes = [...before.nodes, ...nodes.slice(0, end), ...after.nodes, ...nodes.slice(end)];
  return draft.finish();
});
