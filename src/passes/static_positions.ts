import type { GraphNode } from '../core/graph.js';
import { type GraphDraft, Replacement } from '../graph/rewrite.js';

/** Inputs that tell a graph with a static cache where its call stands, as onnxruntime-genai feeds them. */
export const LENGTHS = { past: 'past_seq_len', total: 'total_seq_len' };

/** Adds the inputs past_seq_len int32 [1, 1] and total_seq_len int32 [1]. */
export function lengthInputs(draft: GraphDraft): void {
  draft.input(LENGTHS.past, 'INT32', [1, 1]);
  draft.input(LENGTHS.total, 'INT32', [1]);
}

/** Nodes in front of all layers, which several of them share: to be put in order with the rest of the graph. */
export function prelude(draft: GraphDraft): Replacement {
  const node: GraphNode = { name: '', op: '', domain: 'halfbyte', inputs: [], outputs: [], attributes: {} };
  return new Replacement(draft, node);
}

/**
 * Positions of a call's tokens, int32 [1, tokens]: past_seq_len is the position of the last one, so token i stands at
 * past_seq_len - (tokens - 1) + i (onnxruntime-genai src/models/input_ids.cpp).
 */
export function callPositions(into: Replacement, tokens: number): string {
  lengthInputs(into.graph);
  const steps = into.graph.constant(
    'INT32',
    Array.from({ length: tokens }, (_, index) => index - (tokens - 1)),
  );
  return into.onnx('Add', '/model/positions/Add', [LENGTHS.past, steps]);
}
