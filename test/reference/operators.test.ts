import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../src/core/errors.js';
import { SEMANTIC_OPERATORS } from '../../src/graph/operators.js';
import { OPERATORS } from '../../src/reference/operators.js';
import { activationOf, difference, noise, rowsOf, run } from './calls.js';

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, bound = 2e-6) => {
  assert.ok(difference(actual, expected) <= bound, `${Array.from(actual)} is not ${Array.from(expected)}`);
};

test('every semantic operator is implemented', () => {
  assert.equal(Object.keys(OPERATORS).sort(), [...SEMANTIC_OPERATORS].sort());
});

test('Embedding reads each distinct id once', async () => {
  const table = rowsOf([0, 1, 10, 11, 20, 21], 2);
  const [y] = await run('Embedding', [undefined, table], {}, { ids: [2, 0, 2] });
  assert.equal([...y.data], [20, 21, 0, 1, 20, 21]);
  assert.equal(table.read, [
    [2, 1],
    [0, 1],
  ]);
});

test('RmsNorm normalises the width or each head', async () => {
  const x = activationOf([3, 4, 0, 2], 4);
  const [whole] = await run('RmsNorm', [x, rowsOf([1, 2, 3, 4], 4)], { epsilon: { float: 0.5 } });
  const root = Math.sqrt(29 / 4 + 0.5);
  close(whole.data, [3 / root, 8 / root, 0, 8 / root]);
  const [heads] = await run('RmsNorm', [x, rowsOf([1, 2], 2)], { epsilon: { float: 0 } });
  close(heads.data, [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5), 0, 4 / Math.SQRT2]);
});

test('LayerNorm takes the mean off, over the width or each head, with a shift or without', async () => {
  const x = activationOf([1, 3, 7, 1], 4);
  const root = Math.sqrt((4 + 0 + 16 + 4) / 4 + 0.5);
  const gamma = rowsOf([1, 2, 3, 4], 4);
  const [whole] = await run('LayerNorm', [x, gamma, rowsOf([10, 20, 30, 40], 4)], { epsilon: { float: 0.5 } });
  close(whole.data, [10 - 2 / root, 20, 30 + 12 / root, 40 - 8 / root], 4e-6);
  const [plain] = await run('LayerNorm', [x, gamma], { epsilon: { float: 0.5 } });
  close(plain.data, [-2 / root, 0, 12 / root, -8 / root]);
  const [heads] = await run('LayerNorm', [x, rowsOf([1, 2], 2)], { epsilon: { float: 0 } });
  close(heads.data, [-1, 2, 1, -2]);
  const [own] = await run('LayerNorm', [x, rowsOf([1, 2, 3, 4], 2)], { epsilon: { float: 0 } });
  close(own.data, [-1, 2, 3, -4]);
});

test('PositionScale grows by the logarithm of whole lengths, from 0 in each sequence', async () => {
  const x = activationOf([1, 1, 1, 2, 1], 1);
  const [y] = await run('PositionScale', [x], { beta: { float: 0.5 }, length: 2 }, { lengths: [4, 1] });
  close(y.data, [1, 1, 1 + 0.5 * Math.log(2), 2 * (1 + 0.5 * Math.log(2)), 1]);
});

test('Linear is x W^T + b', async () => {
  const x = activationOf([1, 2, 3, 4, 5, 6], 3);
  const [y] = await run('Linear', [x, rowsOf([1, 0, -1, 2, 2, 2], 3), rowsOf([10, 20], 2)]);
  assert.equal([...y.data], [8, 32, 8, 50]);
});

test('Linear streams a weight of several chunks, the last one short', async () => {
  const [rows, cols] = [1100, 4096];
  const weight = { ...rowsOf(noise(rows * cols, 3), cols), quantum: 100 };
  const x = activationOf(noise(3 * cols, 4), cols);
  const [y] = await run('Linear', [x, weight]);
  const counts = weight.read.map(([, count]) => count);
  assert.equal(counts, [500, 500, 100], '512 rows fit; 500 are whole quanta');
  for (const [token, row] of [
    [0, 0],
    [1, 499],
    [2, 500],
    [1, 1099],
  ]) {
    let expected = 0;
    for (let i = 0; i < cols; i++) expected += x.data[token * cols + i] * weight.values[row * cols + i];
    close([y.data[token * rows + row]], [expected], 1e-4);
  }
});

const angles = [0.3, 1.1];
const table = (f: (x: number) => number, positions = 4) =>
  rowsOf(Array.from({ length: positions }, (_, p) => angles.map((angle) => f(p * angle))).flat(), 2);
const turn = (a: number, b: number, angle: number) => [
  a * Math.cos(angle) - b * Math.sin(angle),
  a * Math.sin(angle) + b * Math.cos(angle),
];

test('Rotary turns pairs (i, i + r/2) by position, from 0 in each sequence', async () => {
  const values = noise(3 * 8, 5);
  const attributes = { heads: 2, head_dim: 4, offset: 0, rotary_dim: 4, interleaved: 0 };
  const inputs = [activationOf(values, 8), table(Math.cos), table(Math.sin)];
  const [y] = await run('Rotary', inputs, attributes, { lengths: [1, 2] });
  close(y.data.subarray(0, 16), values.slice(0, 16));
  for (const head of [0, 1]) {
    const at = 16 + head * 4;
    const [a0, b0] = turn(values[at], values[at + 2], angles[0]);
    const [a1, b1] = turn(values[at + 1], values[at + 3], angles[1]);
    close(y.data.subarray(at, at + 4), [a0, a1, b0, b1]);
  }
});

test('Rotary turns interleaved pairs behind an offset and leaves the rest', async () => {
  const values = noise(2 * 6, 6);
  const attributes = { heads: 1, head_dim: 6, offset: 2, rotary_dim: 4, interleaved: 1 };
  const [y] = await run('Rotary', [activationOf(values, 6), table(Math.cos), table(Math.sin)], attributes);
  const [, , , , , , n0, n1, a, b, c, d] = values;
  close(y.data.subarray(6), [n0, n1, ...turn(a, b, angles[0]), ...turn(c, d, angles[1])]);
});

test('Rotary refuses positions past its tables', async () => {
  const attributes = { heads: 1, head_dim: 4 };
  const inputs = [activationOf(noise(5 * 4, 7), 4), table(Math.cos), table(Math.sin)];
  try {
    await run('Rotary', inputs, attributes);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, UsageError);
    assert.match((error as Error).message, 'has 5 tokens; the rotary tables end at 4');
  }
});

test('Add, Mul, Scale, Softcap, Slice and Concat', async () => {
  const [a, b] = [activationOf([1, -2, 3, 4], 2), activationOf([10, 20, 30, 40], 2)];
  assert.equal([...(await run('Add', [a, b]))[0].data], [11, 18, 33, 44]);
  assert.equal([...(await run('Mul', [a, b]))[0].data], [10, -40, 90, 160]);
  assert.equal([...(await run('Scale', [a], { factor: { float: 0.5 } }))[0].data], [0.5, -1, 1.5, 2]);
  const capped = (await run('Softcap', [a], { cap: { float: 3 } }))[0].data;
  close(
    capped,
    [1, -2, 3, 4].map((x) => 3 * Math.tanh(x / 3)),
  );
  const [sliced] = await run('Slice', [b], { from: 1, to: 2 });
  assert.equal([sliced.width, ...sliced.data], [1, 20, 40]);
  const [joined] = await run('Concat', [a, sliced, b]);
  assert.equal([joined.width, ...joined.data], [5, 1, -2, 20, 10, 20, 3, 4, 40, 30, 40]);
  assert.equal([...a.data], [1, -2, 3, 4], 'inputs stay as they were');
});

test('Activation functions have the values of their definitions', async () => {
  // By the C library: x / (1 + exp(-x)), x (1 + erf(x / sqrt 2)) / 2 and so on, in float64.
  const expected = {
    silu: [-0.14227761953270035, -0.1887703343990727, 0, 0.7310585786300049, 2.3103545499468914],
    relu: [0, 0, 0, 1, 2.5],
    gelu: [-0.00404969409489031, -0.15426876936299344, 0, 0.8413447460685429, 2.4844758366855597],
    gelu_pytorch_tanh: [-0.0036373920817729943, -0.15428599017485606, 0, 0.8411919906082768, 2.484915733910001],
  };
  for (const [name, values] of Object.entries(expected)) {
    const [y] = await run('Activation', [activationOf([-3, -0.5, 0, 1, 2.5], 5)], { function: name });
    close(y.data, values, 2e-7);
  }
});

test.run();
