import { activation, number, type OperatorCall, text, vector, weight } from '../call.js';
import { project } from './linear.js';
import { byDescending, routingMargin } from './selection.js';

/**
 * Scores of the experts: `choice` is what selection compares (scores + correction, -inf outside the chosen groups),
 * `scores` what weighs the experts. Follows modeling_deepseek_v2.py and v3: a group counts by its greatest choice
 * (`max`) or by the sum of its two greatest (`top2`).
 */
export async function router(call: OperatorCall) {
  const logits = await project(call.gemm, activation(call, 0), weight(call, 1));
  const correction = await vector(call, 2);
  const experts = logits.width;
  const groups = number(call, 'groups', 1);
  const chosenGroups = number(call, 'topk_groups', groups);
  const top2 = chosenGroups < groups && text(call, 'group_score') === 'top2';
  const score = text(call, 'scoring') === 'sigmoid' ? sigmoid : softmax;
  const size = experts / groups;

  const scores = new Float32Array(logits.data.length);
  const choice = new Float32Array(logits.data.length);
  for (let token = 0; token < call.tokens; token++) {
    const at = token * experts;
    const rowScores = scores.subarray(at, at + experts);
    const rowChoice = choice.subarray(at, at + experts);
    score(logits.data.subarray(at, at + experts), rowScores);
    for (let i = 0; i < experts; i++) rowChoice[i] = rowScores[i] + (correction ? correction[i] : 0);
    if (chosenGroups >= groups) continue;

    const groupScores = Float64Array.from({ length: groups }, (_, group) => {
      const sorted = rowChoice.slice(group * size, (group + 1) * size).sort();
      return top2 ? sorted[size - 1] + sorted[size - 2] : sorted[size - 1];
    });
    const order = byDescending(groupScores);
    routingMargin(call, 'groups', token, groupScores, order, chosenGroups);
    for (const group of order.slice(chosenGroups)) rowChoice.fill(-Infinity, group * size, (group + 1) * size);
  }
  return [
    { width: experts, data: choice },
    { width: experts, data: scores },
  ];
}

function sigmoid(logits: Float32Array, out: Float32Array): void {
  for (let i = 0; i < logits.length; i++) out[i] = 1 / (1 + Math.exp(-logits[i]));
}

function softmax(logits: Float32Array, out: Float32Array): void {
  const greatest = logits.reduce((most, each) => Math.max(most, each), -Infinity);
  const shares = Float64Array.from(logits, (logit) => Math.exp(logit - greatest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  for (let i = 0; i < logits.length; i++) out[i] = shares[i] / total;
}
