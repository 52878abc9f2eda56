import { type Activation, activation, number, type OperatorCall, text, weight } from '../call.js';
import { rowRange } from '../weights.js';
import { activationFunction } from './functions.js';
import { project } from './linear.js';
import { byDescending, routingMargin } from './selection.js';

/** A token that chose an expert, and what the expert's answer counts there. */
interface Assignment {
  token: number;
  weight: number;
}

/**
 * Sum over each token's top_k experts of weight * down(f(gate x) * up x). Weights of expert e are rows [e I, (e+1) I)
 * of gate and up and [e H, (e+1) H) of down; experts that no token chose are neither read nor computed.
 */
export async function experts(call: OperatorCall) {
  const x = activation(call, 0);
  const assignments = assign(call, activation(call, 1), activation(call, 2));
  const count = assignments.length;
  const [gate, up, down] = [weight(call, 3), weight(call, 4), weight(call, 5)];
  const [inner, width] = [gate.rows / count, down.rows / count];
  const f = activationFunction(text(call, 'function'));

  const data = new Float32Array(call.tokens * width);
  for (let expert = 0; expert < count; expert++) {
    const chosenBy = assignments[expert];
    if (chosenBy.length === 0) continue;
    const rows = gather(x, chosenBy);
    const gated = await project(call.gemm, rows, rowRange(gate, expert * inner, inner));
    const raised = await project(call.gemm, rows, rowRange(up, expert * inner, inner));
    for (let i = 0; i < gated.data.length; i++) gated.data[i] = f(gated.data[i]) * raised.data[i];
    const answer = await project(call.gemm, gated, rowRange(down, expert * width, width));
    chosenBy.forEach(({ token, weight: share }, index) => {
      for (let i = 0; i < width; i++) data[token * width + i] += share * answer.data[index * width + i];
    });
  }
  return { width, data };
}

/** Who chose each expert, with weights: the chosen scores, normalised where asked for, times scale. */
function assign(call: OperatorCall, choice: Activation, scores: Activation): Assignment[][] {
  const count = number(call, 'experts');
  const topK = number(call, 'top_k');
  const normalize = number(call, 'normalize', 0) === 1;
  const epsilon = number(call, 'normalize_epsilon', 0);
  const scale = number(call, 'scale', 1);
  const assignments: Assignment[][] = Array.from({ length: count }, () => []);
  for (let token = 0; token < call.tokens; token++) {
    const choices = choice.data.subarray(token * count, (token + 1) * count);
    const order = byDescending(choices);
    routingMargin(call, 'experts', token, choices, order, topK);
    const chosen = order.slice(0, topK);
    const sum = chosen.reduce((total, expert) => total + scores.data[token * count + expert], 0);
    const divisor = normalize ? sum + epsilon : 1;
    for (const expert of chosen) {
      assignments[expert].push({ token, weight: (scores.data[token * count + expert] / divisor) * scale });
    }
  }
  return assignments;
}

function gather(x: Activation, assignments: Assignment[]): Activation {
  const data = new Float32Array(assignments.length * x.width);
  assignments.forEach(({ token }, index) => {
    data.set(x.data.subarray(token * x.width, (token + 1) * x.width), index * x.width);
  });
  return { width: x.width, data };
}
