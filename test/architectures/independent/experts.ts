import type { Tensors } from './checkpoint.js';
import { gatedMlp, linear, type Matrix, silu } from './float64.js';

/** The experts of one token, their weights, and how far the last one chosen was from the first one left out. */
export interface Choice {
  experts: number[];
  weights: number[];
  margin: number;
}

const descending = (values: number[]): number[] =>
  values.map((_, index) => index).sort((a, b) => values[b] - values[a] || a - b);

const lead = (values: number[], order: number[], count: number): number =>
  count < order.length ? values[order[count - 1]] - values[order[count]] : Infinity;

export function softmax(row: number[]): number[] {
  const most = Math.max(...row);
  const exponentials = row.map((value) => Math.exp(value - most));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return exponentials.map((value) => value / total);
}

/** torch.topk of the scores, which are the weights. */
export function best(scores: number[], count: number): Choice {
  const order = descending(scores);
  const experts = order.slice(0, count);
  return { experts, weights: experts.map((each) => scores[each]), margin: lead(scores, order, count) };
}

/** `best` among the experts of the `chosen` groups with the greatest `score`; `choice` orders, `scores` weigh. */
export function bestOfGroups(
  choice: number[],
  scores: number[],
  count: number,
  groups: number,
  chosen: number,
  score: (members: number[]) => number,
): Choice {
  const size = choice.length / groups;
  const groupScores = Array.from({ length: groups }, (_, group) =>
    score(choice.slice(group * size, (group + 1) * size)),
  );
  const groupOrder = descending(groupScores);
  const open = new Set(groupOrder.slice(0, chosen));
  const masked = choice.map((value, expert) => (open.has(Math.floor(expert / size)) ? value : -Infinity));
  const { experts, margin } = best(masked, count);
  const weights = experts.map((each) => scores[each]);
  return { experts, weights, margin: Math.min(margin, lead(groupScores, groupOrder, chosen)) };
}

/** Divides the weights by their sum (+ epsilon). */
export function normalized(choice: Choice, epsilon = 0): Choice {
  const sum = choice.weights.reduce((total, each) => total + each, epsilon);
  return { ...choice, weights: choice.weights.map((each) => each / sum) };
}

/** The weighted sum of each token's experts; `names` are the parts of an expert's MLP in the checkpoint. */
export function mixture(
  x: Matrix,
  choices: Choice[],
  tensors: Tensors,
  path: string,
  names: { gate: string; up: string; down: string } = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
): Matrix {
  const sums = x.map((row) => row.map(() => 0));
  const used = new Set(choices.flatMap(({ experts }) => experts));
  for (const expert of used) {
    const part = (name: string) => tensors.matrix(`${path}.${expert}.${name}.weight`);
    const [gate, up, down] = [part(names.gate), part(names.up), part(names.down)];
    for (const [token, { experts, weights }] of choices.entries()) {
      const at = experts.indexOf(expert);
      if (at < 0) continue;
      const [answer] = gatedMlp([x[token]], gate, up, down, silu);
      answer.forEach((value, i) => {
        sums[token][i] += weights[at] * value;
      });
    }
  }
  return sums;
}

/** x W^T of a router's gate. */
export const gateLogits = (x: Matrix, tensors: Tensors, path: string): Matrix =>
  linear(x, tensors.matrix(`${path}.weight`));
