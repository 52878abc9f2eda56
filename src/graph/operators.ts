/**
 * The semantic operators (domain `halfbyte`) in which architectures draw their graphs. They say what a model computes,
 * not how a device does it: `reference/` evaluates them in full precision as they stand, and the passes of a target
 * lower them to operators of ONNX. Activations are float [batch, sequence, width]; weights are inputs named by their
 * entry in `graph.weights`, matrices [out, in] as Hugging Face stores them.
 *
 * | operator | inputs | attributes | result |
 * |---|---|---|---|
 * | Embedding | ids, table [V, H] | | rows of the table |
 * | RmsNorm | x, gamma [d] | epsilon | x / sqrt(mean(x^2) + epsilon) * gamma over each run of d values of the last axis: d = width, or d = head_dim for a norm per head |
 * | LayerNorm | x, gamma [d], beta [d] optional | epsilon | (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * gamma + beta over each run of d values; gamma [n, d] without beta: a gain of its own for each of the n runs |
 * | Linear | x, weight [N, K], bias [N] optional | | x W^T + b |
 * | Rotary | x, cos [P, r/2], sin [P, r/2] | heads, head_dim, offset, rotary_dim, interleaved | values [offset, offset + r) of each head rotated by position: pairs (i, i + r/2), or (2i, 2i + 1) where interleaved = 1, which also leaves them interleaved |
 * | Attention | q [.., heads * head_dim], k [.., kv_heads * head_dim], v [.., kv_heads * v_head_dim] | layer, heads, kv_heads, head_dim, v_head_dim, scale, window, softcap | causal softmax(cap(q k^T scale)) v; window W > 0: only the last W keys, the own one included; softcap 0: none |
 * | LatentAttention | q [.., heads * (nope + rope)], c [.., kv_lora], k_rope [.., rope], kv_b [heads * (nope + v), kv_lora] | layer, heads, nope, rope, v_head_dim, kv_lora, scale | MLA: per head k = [kv_b_k c, k_rope], v = kv_b_v c; q and k_rope come rotated, c normalised |
 * | Activation | x | function: silu, gelu_pytorch_tanh, gelu, relu, quick_gelu, relu2 | |
 * | Add, Mul | a, b | | elementwise |
 * | Scale | x | factor | x * factor |
 * | PositionScale | x | beta, length | x * (1 + beta ln(1 + floor(p / length))) at position p |
 * | Softcap | x | cap | cap * tanh(x / cap) |
 * | Slice | x | from, to | columns [from, to) of the last axis |
 * | Concat | a, b, .. | | joined on the last axis |
 * | Router | x, gate [E, H], correction [E] optional | scoring: softmax or sigmoid, groups, topk_groups, group_score: max or top2 | choice [.., E]: what selection compares (scores + correction, -inf outside the chosen groups); scores [.., E]: what weighs the experts |
 * | Experts | x, choice, scores, gate [E * I, H], up [E * I, H], down [E * H, I] | experts, top_k, normalize, scale, function, normalize_epsilon | sum over the top_k experts by choice of weight * down(f(gate x) * up x); weights = scores of the chosen, divided by their sum + normalize_epsilon where normalize = 1, times scale |
 */
export const SEMANTIC_OPERATORS = [
  'Embedding',
  'RmsNorm',
  'LayerNorm',
  'Linear',
  'Rotary',
  'Attention',
  'LatentAttention',
  'Activation',
  'Add',
  'Mul',
  'Scale',
  'PositionScale',
  'Softcap',
  'Slice',
  'Concat',
  'Router',
  'Experts',
] as const;
export type SemanticOperator = (typeof SEMANTIC_OPERATORS)[number];
