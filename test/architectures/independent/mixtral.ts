import type { Tensors } from './checkpoint.js';
import { best, gateLogits, mixture, normalized, softmax } from './experts.js';
import { inverseFrequencies, rotateHalf } from './float64.js';
import { type GroupedResult, type GroupedSettings, grouped, nearest, output, preNorm, threeOf } from './grouped.js';

/**
 * Mixtral in float64 after transformers' src/transformers/models/mixtral/modular_mixtral.py at
 * 008f5c8c29be84d4721dc6d1e0fcd72300580be4: MixtralSparseMoeBlock divides the best by their sum; a window, where the
 * config has one, is in every layer.
 */
export function mixtral(
  settings: GroupedSettings & {
    num_local_experts: number;
    num_experts_per_tok: number;
    sliding_window: number | null;
  },
  tensors: Tensors,
  ids: number[],
): GroupedResult {
  const frequencies = inverseFrequencies(settings.rope_theta, settings.head_dim);
  let margin = Infinity;
  const logits = preNorm(
    settings,
    tensors,
    ids,
    (x, path) => {
      const attended = grouped(settings, {
        window: settings.sliding_window ?? 0,
        turn: (head) => rotateHalf(head, frequencies),
        qkv: threeOf(x, tensors, path),
      });
      return output(attended, tensors, path);
    },
    (x, path) => {
      const block = `${path}.block_sparse_moe`;
      const choices = gateLogits(x, tensors, `${block}.gate`).map((row) =>
        normalized(best(softmax(row), settings.num_experts_per_tok)),
      );
      margin = nearest(margin, choices);
      return mixture(x, choices, tensors, `${block}.experts`, { gate: 'w1', up: 'w3', down: 'w2' });
    },
  );
  return { logits, margin };
}
