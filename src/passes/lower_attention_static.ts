import type { Graph, GraphNode, Pass, ValueRange } from '../core/graph.js';
import { inOrder } from '../graph/order.js';
import { pass } from '../graph/pass.js';
import { float, GraphDraft, integer, Replacement } from '../graph/rewrite.js';
import { cacheOf } from './static_cache.js';
import { callPositions, prelude } from './static_positions.js';

/** Sizes that a static graph is made for: tokens of a call and positions of the cache. */
export interface StaticSizes {
  tokens: number;
  contextLength: number;
}

/** What a hidden position gets added to its score where activations are floats: within float16, and exp gives 0. */
const FLOAT_MASK = 10000;

/**
 * How far below the least visible score a hidden one is put where activations are integers: 4096 hidden positions at
 * exp(-24) weigh 1.5e-7, and every unit of distance costs resolution of the scores.
 */
const QUANTIZED_DISTANCE = 24;

/** Names of values that only the lowered form has and whose ranges a calibration measures or this pass derives. */
export const scoresName = (node: string): string => `${node}/scores`;

const isAttention = (node: GraphNode) => node.op === 'Attention' && node.domain === 'halfbyte';

/** Ranges of the scores as they reach the mask: cap * tanh(scores / cap) where the model caps them. */
function cappedScores(node: GraphNode, ranges: Record<string, ValueRange> | undefined): ValueRange | undefined {
  const scores = ranges?.[scoresName(node.name)];
  const cap = float(node, 'softcap');
  if (!scores || cap === 0) return scores;
  return { min: cap * Math.tanh(scores.min / cap), max: cap * Math.tanh(scores.max / cap) };
}

/** The distance that hides a position in every layer; integer activations saturate there, layer by layer. */
function maskDistance(graph: Graph, quantized: boolean): number {
  if (!quantized) return FLOAT_MASK;
  const spans = graph.nodes.filter(isAttention).map((node) => {
    const range = cappedScores(node, graph.ranges);
    return range ? range.max - range.min : 0;
  });
  return Math.max(0, ...spans) + QUANTIZED_DISTANCE;
}

/**
 * The additive mask [1, 1, tokens, contextLength]: 0 where key j is visible to the query at position p (j <= p, and
 * j > p - window where there is one), -distance elsewhere. Finite, and computed from past_seq_len alone.
 */
function additiveMask(into: Replacement, sizes: StaticSizes, window: number, distance: number): string {
  const { tokens, contextLength } = sizes;
  const { graph } = into;
  const path = '/model/attn_mask';
  const shape = graph.constant('INT64', [1, 1, tokens, 1]);
  const query = into.onnx('Reshape', `${path}/Reshape`, [callPositions(into, tokens), shape]);
  const keys = graph.initializer(`${path}/key_positions`, 'INT32', [1, 1, 1, contextLength], {
    values: Array.from({ length: contextLength }, (_, index) => index),
  });
  const [visible, hidden] = [graph.constant('FLOAT', 0), graph.constant('FLOAT', -distance)];
  const past = into.onnx('LessOrEqual', `${path}/LessOrEqual`, [keys, query]);
  const causal = into.onnx('Where', `${path}/Where`, [past, visible, hidden]);
  if (window === 0) return causal;
  const before = into.onnx('Sub', `${path}/window_${window}/Sub`, [query, graph.constant('INT32', window)]);
  const within = into.onnx('Less', `${path}/window_${window}/Less`, [before, keys]);
  return into.onnx('Where', `${path}/window_${window}/Where`, [within, causal, hidden]);
}

const STATIC_ATTENTION = {
  name: 'lower_attention_static',
  removes: ['halfbyte.Attention'],
  leaves: [
    'Add',
    'Div',
    'Expand',
    'Less',
    'LessOrEqual',
    'MatMul',
    'Mul',
    'Reshape',
    'ScatterElements',
    'Softmax',
    'Sub',
    'Tanh',
    'Transpose',
    'Where',
  ],
};

/**
 * Attention -> MatMul, mask, Softmax, MatMul over a static cache that ScatterElements renews at the call's positions:
 * every operator runs on an NPU. Query heads that share a key head stand one below the other in one product.
 */
export function lowerAttentionStatic(sizes: StaticSizes, quantized: boolean): Pass {
  return pass(STATIC_ATTENTION, (graph) => {
    const draft = new GraphDraft(graph);
    const front = prelude(draft);
    const distance = maskDistance(graph, quantized);
    const nodes = graph.nodes.flatMap((node) => {
      if (!isAttention(node)) return [node];
      const into = new Replacement(draft, node);
      attend(into, node, sizes, additiveMask(front, sizes, integer(node, 'window'), distance), front);
      return into.nodes;
    });
    draft.graph.nodes = inOrder([...front.nodes, ...nodes]);
    return draft.finish();
  });
}

function attend(into: Replacement, node: GraphNode, sizes: StaticSizes, mask: string, front: Replacement): void {
  const { tokens, contextLength } = sizes;
  const { graph: draft } = into;
  const { name } = node;
  const [heads, kvHeads] = [integer(node, 'heads'), integer(node, 'kv_heads')];
  const [keyDim, valueDim] = [integer(node, 'head_dim'), integer(node, 'v_head_dim')];
  const shared = heads / kvHeads;
  const names = cacheOf(draft, node, contextLength);
  const numbers = (...values: number[]) => draft.constant('INT64', values);
  const reshape = (value: string, segment: string, shape: number[], output?: string) =>
    into.onnx('Reshape', `${name}/${segment}/Reshape`, [value, numbers(...shape)], {}, output);
  const transpose = (value: string, segment: string, perm: number[]) =>
    into.onnx('Transpose', `${name}/${segment}/Transpose`, [value], { perm });
  /** [1, tokens, count * dim] -> [1, count, tokens, dim]. */
  const byHead = (value: string, segment: string, count: number, dim: number) =>
    transpose(reshape(value, segment, [1, tokens, count, dim]), segment, [0, 2, 1, 3]);

  const renew = (value: string, segment: string, dim: number, past: string, present: string) => {
    const at = cacheIndices(front, kvHeads, tokens, dim);
    const update = byHead(value, segment, kvHeads, dim);
    return into.onnx('ScatterElements', `${name}/${segment}/ScatterElements`, [past, at, update], { axis: 2 }, present);
  };
  const keys = renew(node.inputs[1], 'k', keyDim, names.pastKey, names.presentKey);
  const values = renew(node.inputs[2], 'v', valueDim, names.pastValue, names.presentValue);

  const scaled = into.onnx('Mul', `${name}/scale/Mul`, [node.inputs[0], draft.constant('FLOAT', float(node, 'scale'))]);
  const queries = reshape(byHead(scaled, 'q', heads, keyDim), 'q_shared', [1, kvHeads, shared * tokens, keyDim]);
  const product = into.onnx(
    'MatMul',
    `${name}/scores/MatMul`,
    [queries, transpose(keys, 'k_columns', [0, 1, 3, 2])],
    {},
    scoresName(name),
  );
  let scores = reshape(product, 'scores', [1, heads, tokens, contextLength]);
  const cap = float(node, 'softcap');
  if (cap !== 0) {
    const limit = draft.constant('FLOAT', cap);
    const bent = into.onnx('Tanh', `${name}/cap/Tanh`, [into.onnx('Div', `${name}/cap/Div`, [scores, limit])]);
    scores = into.onnx('Mul', `${name}/cap/Mul`, [bent, limit]);
  }
  const masked = into.onnx('Add', `${name}/mask/Add`, [scores, mask], {}, `${name}/masked`);
  const shares = into.onnx('Softmax', `${name}/Softmax`, [masked], { axis: -1 });
  const rows = reshape(shares, 'shares', [1, kvHeads, shared * tokens, contextLength]);
  const attended = into.onnx('MatMul', `${name}/values/MatMul`, [rows, values]);
  const ordered = transpose(reshape(attended, 'heads', [1, heads, tokens, valueDim]), 'out', [0, 2, 1, 3]);
  reshape(ordered, 'out', [1, tokens, heads * valueDim], node.outputs[0]);

  const range = cappedScores(node, draft.graph.ranges);
  if (range) {
    const saturated = { min: range.min - QUANTIZED_DISTANCE, max: range.max };
    draft.graph.ranges = { ...draft.graph.ranges, [`${name}/masked`]: saturated };
  }
}

/** The call's positions spread over [1, kv_heads, tokens, dim], int32, as ScatterElements takes them along axis 2. */
function cacheIndices(into: Replacement, kvHeads: number, tokens: number, dim: number): string {
  const { graph } = into;
  const path = `/model/cache_indices/${kvHeads}x${dim}`;
  const at = graph.constant('INT64', [1, 1, tokens, 1]);
  const query = into.onnx('Reshape', '/model/attn_mask/Reshape', [callPositions(into, tokens), at]);
  return into.onnx('Expand', `${path}/Expand`, [query, graph.constant('INT64', [1, kvHeads, tokens, dim])]);
}
