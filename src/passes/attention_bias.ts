import type { GraphNode } from '../core/graph.js';
import { type GraphDraft, Replacement } from '../graph/rewrite.js';

/** Added to the scores of keys that a query does not see: finite, so that a row without any is no NaN. */
const UNSEEN = -1e30;

/**
 * A bias on scores [batch_size, 1, sequence_length, total_sequence_length] for attention drawn in plain operators: 0
 * where query i sees key j, that is j <= past + i and attention_mask[j] = 1. Its nodes come first in the graph.
 */
export function attentionBias(draft: GraphDraft, nodes: GraphNode[]): string {
  const path = '/model/attention_bias';
  const nothing = { name: path, op: '', domain: 'halfbyte' as const, inputs: [], outputs: [], attributes: {} };
  const into = new Replacement(draft, nothing);
  const mask = draft.input('attention_mask', 'INT64', ['batch_size', 'total_sequence_length']);
  const step = (op: string, segment: string, inputs: string[], attributes = {}) =>
    into.onnx(op, `${path}/${segment}`, inputs, attributes);
  const [zero, one] = [draft.constant('INT64', 0), draft.constant('INT64', 1)];
  const length = (of: string, segment: string) =>
    step('Gather', `${segment}/Gather`, [step('Shape', `${segment}/Shape`, [of]), one]);
  const total = length(mask, 'total');
  const past = step('Sub', 'past/Sub', [total, length('input_ids', 'sequence')]);
  const keys = step('Range', 'keys/Range', [zero, total, one]);
  const queries = step('Unsqueeze', 'queries/Unsqueeze', [
    step('Range', 'queries/Range', [past, total, one]),
    draft.constant('INT64', [1]),
  ]);
  const causal = step('LessOrEqual', 'LessOrEqual', [keys, queries]);
  const kept = step('Unsqueeze', 'mask/Unsqueeze', [
    step('Cast', 'mask/Cast', [mask], { to: 9 }),
    draft.constant('INT64', [1, 2]),
  ]);
  const seen = step('And', 'And', [causal, kept]);
  const bias = step('Where', 'Where', [seen, draft.constant('FLOAT', 0), draft.constant('FLOAT', UNSEEN)]);
  nodes.push(...into.nodes);
  return bias;
}
