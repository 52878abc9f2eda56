import type { TensorRef } from '../../core/checkpoint.js';
import { InvalidInputError } from '../../core/errors.js';
import { own } from '../../core/own.js';
import type { LogicalTensor, RowSource } from '../../core/weights.js';
import type { Tensors } from '../packing/stored-tensors.js';

const EXPERTS = /^(.*)\.switch_mlp\.(gate_proj|up_proj|down_proj)\.(weight|scales|biases)$/;
const HEADS = /^(.*\.self_attn)\.(embed_q|unembed_out)\.(weight|scales|biases)$/;
const ONE_HEAD = /^(.*\.self_attn)\.(embed_q|unembed_out)\.(\d+)\.weight$/;

/** Mixtral numbers its projections. */
const MIXTRAL: Record<string, string> = own({ gate_proj: 'w1', down_proj: 'w2', up_proj: 'w3' });

/**
 * The tensors of a checkpoint, those that mlx-lm stacks one by one (`sanitize` of mlx_lm/models/mixtral.py, qwen2_moe.py,
 * deepseek_v3.py): the experts of a layer by the names that Hugging Face has, the heads of latent attention by their
 * numbers, as `self_attn.embed_q.0.weight`. A slice keeps the name that is stored.
 */
export function unstacked(tensors: Tensors): Map<string, TensorRef> {
  const single = new Map<string, TensorRef>();
  for (const [name, ref] of tensors) {
    const nameOf = ref.shape.length === 3 ? nameInStack(name) : undefined;
    if (!nameOf) {
      single.set(name, ref);
      continue;
    }
    const [count, ...shape] = ref.shape;
    const nbytes = ref.nbytes / count;
    for (let index = 0; index < count; index++) {
      single.set(nameOf(index), { ...ref, shape, offset: ref.offset + index * nbytes, nbytes });
    }
  }
  return single;
}

function nameInStack(name: string): ((index: number) => string) | undefined {
  const expert = EXPERTS.exec(name);
  if (expert) {
    const [, block, projection, part] = expert;
    const own = block.endsWith('block_sparse_moe') ? MIXTRAL[projection] : projection;
    return (index) => `${block}.experts.${index}.${own}.${part}`;
  }
  const head = HEADS.exec(name);
  return head ? (index) => `${head[1]}.${head[2]}.${index}.${head[3]}` : undefined;
}

/**
 * Puts kv_b_proj together again, [heads * (nope + v), latent], where mlx-lm has split it: for each head the columns of
 * `embed_q` [latent, nope] and the rows of `unembed_out` [v, latent].
 */
export function joinKeyValues(logical: Map<string, LogicalTensor>): void {
  const heads = new Map<string, Record<string, RowSource[]>>();
  for (const { name, source } of [...logical.values()]) {
    const [, block, part, head] = ONE_HEAD.exec(name) ?? [];
    if (block === undefined) continue;
    const parts = heads.get(block) ?? { embed_q: [], unembed_out: [] };
    parts[part][Number(head)] = source;
    heads.set(block, parts);
    logical.delete(name);
  }
  for (const [block, { embed_q: keys, unembed_out: values }] of heads) {
    const name = `${block}.kv_b_proj.weight`;
    if (keys.length !== values.length || keys.some((key, head) => key.rows !== values[head].cols)) {
      throw new InvalidInputError(
        `"${name}" is made of ${block}.embed_q, ${keys.length} heads, and ${block}.unembed_out, ${values.length} heads, of one latent width.`,
        'download this checkpoint again, or start from the original one.',
      );
    }
    const sources = keys.flatMap((key, head): RowSource[] => [
      { kind: 'transpose', source: key, rows: key.cols, cols: key.rows },
      values[head],
    ]);
    const rows = sources.reduce((sum, source) => sum + source.rows, 0);
    const cols = values[0].cols;
    logical.set(name, { name, shape: [rows, cols], source: { kind: 'concat', sources, rows, cols } });
  }
}
