import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RoutingMargin } from '../../src/reference/call.js';
import { activationOf, difference, noise, rowsOf, run } from './calls.js';

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, bound = 1e-6) => {
  assert.ok(difference(actual, expected) <= bound, `${Array.from(actual)} is not ${Array.from(expected)}`);
};

// With the identity as gate, x is the logits themselves.
const identity = (size: number) =>
  rowsOf(
    Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
    size,
  );
const logits = [0.5, -1, 2, 0, 1, 0.25];

test('Router by softmax: scores and choice are the probabilities', async () => {
  const [choice, scores] = await run('Router', [activationOf(logits, 6), identity(6)], {
    scoring: 'softmax',
    groups: 1,
    topk_groups: 1,
    group_score: 'max',
  });
  const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
  close(
    scores.data,
    logits.map((x) => Math.exp(x) / total),
  );
  assert.equal([...choice.data], [...scores.data]);
});

test('Router by sigmoid: the correction moves choice alone; groups count by their two best', async () => {
  const correction = [0, 0.9, 0, 0.1, 0.2, 0];
  const margins: RoutingMargin[] = [];
  const attributes = { scoring: 'sigmoid', groups: 3, topk_groups: 2, group_score: 'top2' };
  const [choice, scores] = await run(
    'Router',
    [activationOf(logits, 6), identity(6), rowsOf(correction, 6)],
    attributes,
    { margins },
  );
  const sigmoids = logits.map((x) => 1 / (1 + Math.exp(-x)));
  const corrected = sigmoids.map((x, i) => x + correction[i]);
  close(scores.data, sigmoids);
  // Sums of two: group 0 1.791, group 1 1.481, group 2 1.493: group 1 falls out, narrowly.
  assert.equal([...choice.data].map(Number.isFinite), [true, true, false, false, true, true]);
  close(
    [choice.data[0], choice.data[1], choice.data[4], choice.data[5]],
    [0, 1, 4, 5].map((i) => corrected[i]),
  );
  assert.is(margins.length, 1);
  assert.is(margins[0].among, 'groups');
  close([margins[0].margin], [corrected[4] + corrected[5] - corrected[2] - corrected[3]]);
});

test('Router counts a group by its maximum where asked to', async () => {
  const attributes = { scoring: 'softmax', groups: 3, topk_groups: 1, group_score: 'max' };
  const [choice] = await run('Router', [activationOf(logits, 6), identity(6)], attributes);
  assert.equal([...choice.data].map(Number.isFinite), [false, false, true, true, false, false]);
});

const sizes = { experts: 4, inner: 3, width: 5 };
const gate = noise(sizes.experts * sizes.inner * sizes.width, 11);
const up = noise(sizes.experts * sizes.inner * sizes.width, 12);
const down = noise(sizes.experts * sizes.width * sizes.inner, 13);
const x = noise(2 * sizes.width, 14);

/** One expert's MLP on one token. */
function expertOn(expert: number, token: number): number[] {
  const { inner, width } = sizes;
  const row = (matrix: number[], index: number) =>
    Array.from({ length: width }, (_, i) => matrix[index * width + i] * x[token * width + i]).reduce((a, b) => a + b);
  const middle = Array.from({ length: inner }, (_, i) => {
    const g = row(gate, expert * inner + i);
    return (g / (1 + Math.exp(-g))) * row(up, expert * inner + i);
  });
  return Array.from({ length: width }, (_, o) =>
    middle.reduce((sum, value, i) => sum + value * down[(expert * width + o) * inner + i], 0),
  );
}

const choice = activationOf([0.1, 0.9, 0.3, 0.2, -Infinity, 0.4, 0.41, -Infinity], 4);
const scores = activationOf([0.1, 0.5, 0.3, 0.2, 0.9, 0.4, 0.2, 0.1], 4);
const attributes = { experts: 4, top_k: 2, function: 'silu' };
const matrices = () => [rowsOf(gate, 5), rowsOf(up, 5), rowsOf(down, 3)];
const mix = (parts: [weight: number, values: number[]][]) =>
  Array.from({ length: 5 }, (_, i) => parts.reduce((sum, [weight, values]) => sum + weight * values[i], 0));

test('Experts weighs the chosen by their scores, times scale', async () => {
  const [y] = await run('Experts', [activationOf(x, 5), choice, scores, ...matrices()], {
    ...attributes,
    normalize: 0,
    scale: { float: 2.5 },
    normalize_epsilon: { float: 0 },
  });
  close(
    y.data.subarray(0, 5),
    mix([
      [1.25, expertOn(1, 0)],
      [0.75, expertOn(2, 0)],
    ]),
  );
  close(
    y.data.subarray(5),
    mix([
      [1, expertOn(1, 1)],
      [0.5, expertOn(2, 1)],
    ]),
  );
});

test('Experts divides by the sum of the chosen scores plus epsilon', async () => {
  const [y] = await run('Experts', [activationOf(x, 5), choice, scores, ...matrices()], {
    ...attributes,
    normalize: 1,
    scale: { float: 1 },
    normalize_epsilon: { float: 0.2 },
  });
  close(
    y.data.subarray(0, 5),
    mix([
      [0.5, expertOn(1, 0)],
      [0.3, expertOn(2, 0)],
    ]),
  );
  close(
    y.data.subarray(5),
    mix([
      [0.5, expertOn(1, 1)],
      [0.25, expertOn(2, 1)],
    ]),
  );
});

test('Experts reads only what was chosen and reports the narrowest decisions', async () => {
  const weights = matrices();
  const margins: RoutingMargin[] = [];
  await run('Experts', [activationOf(x, 5), choice, scores, ...weights], { ...attributes, normalize: 0 }, { margins });
  assert.equal(
    weights.map(({ read }) => read),
    [
      [
        [3, 3],
        [6, 3],
      ],
      [
        [3, 3],
        [6, 3],
      ],
      [
        [5, 5],
        [10, 5],
      ],
    ],
  );
  assert.equal(
    margins.map(({ among, sequence, position }) => [among, sequence, position]),
    [
      ['experts', 0, 0],
      ['experts', 0, 1],
    ],
  );
  close([margins[0].margin], [0.1]);
  assert.is(margins[1].margin, Infinity);
});

test.run();
