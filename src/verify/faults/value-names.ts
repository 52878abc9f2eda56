/** A value inside a graph in words: `/model/layers.1/attn/k_proj/MatMul/output_0` is `layer 1 attn.k_proj`. */
export function describeValue(name: string): string {
  const parts = name
    .replace(/^\/model\//, '')
    .replace(/\/output_\d+$/, '')
    .split('/');
  if (parts.length > 1 && /^(MatMul|LayerNorm|Gather|RotaryEmbedding)$/.test(parts[parts.length - 1])) parts.pop();
  const layer = /^layers\.(\d+)$/.exec(parts[0]);
  if (!layer) return parts.join('.');
  return `layer ${layer[1]} ${parts.slice(1).join('.')}`;
}
