/**
 * What a matrix of a checkpoint is to the model. `table` is looked up by position, token type or layer, `transposed` a
 * linear layer that is stored [in, out]: neither has rows that are outputs.
 */
export type MatrixKind = 'embedding' | 'lm_head' | 'router' | 'linear' | 'table' | 'transposed';

const KINDS: [RegExp, MatrixKind][] = [
  [/(^|\.)(embed_tokens|tok_embeddings|wte|word_embeddings|embed_in)\.weight$|^shared\.weight$/, 'embedding'],
  [/(^|\.)(lm_head|embed_out|shared_head\.head)\.weight$|^(head|output)\.weight$/, 'lm_head'],
  // Mixtral has block_sparse_moe.gate, Qwen mlp.shared_expert_gate, DBRX router.layer, Hunyuan mlp.gate.wg
  [/(^|\.)(\w*router|(\w*_)?gate)\.(\w+\.)*weight$/, 'router'],
  [/(^|\.)(wpe|\w*embed\w*|\w*relative_attention_bias)\.weight$/, 'table'],
];

/**
 * The kind of a two-dimensional tensor by its Hugging Face name, for models that are not drawn; undefined where the name
 * does not end in `.weight`, as for biases.
 */
export function matrixKind(name: string): MatrixKind | undefined {
  if (!name.endsWith('.weight')) return undefined;
  return KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? 'linear';
}

/** The index in `layers.<index>.` of a name, undefined outside of the layers. */
export function layerOf(name: string): number | undefined {
  const match = /(?:^|\.)(?:layers|h|blocks)\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : undefined;
}

/** Frequencies and tables of a rope, which every graph computes anew; transformers does not load them either. */
export const isRotaryBuffer = (name: string): boolean =>
  /(^|\.)rotary_emb\w*\.\w*(inv_freq|cos_cached|sin_cached)$/.test(name);
