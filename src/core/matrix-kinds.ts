/** What a matrix of a checkpoint is to the model, told by its Hugging Face name. */
export type MatrixKind = 'embedding' | 'lm_head' | 'router' | 'linear';

const KINDS: [RegExp, MatrixKind][] = [
  [/(^|\.)(embed_tokens|wte|word_embeddings|embed_in)\.weight$/, 'embedding'],
  [/(^|\.)(lm_head|embed_out|shared_head\.head)\.weight$/, 'lm_head'],
  // Mixtral has block_sparse_moe.gate, DeepSeek and Qwen mlp.gate and mlp.shared_expert_gate
  [/(^|\.)(gate|router|shared_expert_gate)\.weight$/, 'router'],
];

/** The kind of a two-dimensional tensor; undefined where its name does not end in `.weight`, as for tables and biases. */
export function matrixKind(name: string): MatrixKind | undefined {
  if (!name.endsWith('.weight')) return undefined;
  return KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? 'linear';
}

/** The index in `layers.<index>.` of a name, undefined outside of the layers. */
export function layerOf(name: string): number | undefined {
  const match = /(?:^|\.)(?:layers|h|blocks)\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : undefined;
}
