import type { TensorRef } from '../../core/types.js';
import type { Tensors } from '../packing/stored-tensors.js';

const STACKED = /^(.*)\.switch_mlp\.(gate_proj|up_proj|down_proj)\.(weight|scales|biases)$/;

/** Mixtral numbers its projections. */
const MIXTRAL: Record<string, string> = { gate_proj: 'w1', down_proj: 'w2', up_proj: 'w3' };

/**
 * The tensors of a checkpoint by the names that Hugging Face has: mlx-lm stacks the experts of a layer in one tensor
 * [experts, ...] (`sanitize` of mlx_lm/models/mixtral.py, qwen2_moe.py, deepseek_v3.py). A slice of it keeps its stored name.
 */
export function unstacked(tensors: Tensors): Map<string, TensorRef> {
  const single = new Map<string, TensorRef>();
  for (const [name, ref] of tensors) {
    const match = STACKED.exec(name);
    if (!match || ref.shape.length !== 3) {
      single.set(name, ref);
      continue;
    }
    const [, block, projection, part] = match;
    const [experts, ...shape] = ref.shape;
    const nbytes = ref.nbytes / experts;
    const own = block.endsWith('block_sparse_moe') ? MIXTRAL[projection] : projection;
    for (let expert = 0; expert < experts; expert++) {
      const slice = { ...ref, shape, offset: ref.offset + expert * nbytes, nbytes };
      single.set(`${block}.experts.${expert}.${own}.${part}`, slice);
    }
  }
  return single;
}
